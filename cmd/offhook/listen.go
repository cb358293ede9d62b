package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// listeners are every socket of the server. All are bound before any is served, so that a taken port is an error at the
// start and not a surprise later.
type listeners struct {
	http, https, admin    net.Listener
	tftp, sipUDP          net.PacketConn
	sipTCP, sips, ws, wss net.Listener
	bound                 []interface{ Close() error }
	addrs                 map[string]string
	tls                   *tls.Config // of the phones' listeners; nil = none
}

// off reports an address that switches its listener off.
func off(addr string) bool { return addr == "" || addr == "off" }

// listenAll binds what c asks for, or nothing.
func listenAll(c serveCmd, conf *tls.Config) (*listeners, error) {
	l := &listeners{addrs: map[string]string{}}
	err := errors.Join(
		l.stream("http", c.HTTP, &l.http),
		l.stream("https", c.HTTPS, &l.https),
		l.packet("tftp", c.TFTP, &l.tftp),
		l.sip(c.SIP),
		l.stream("sips", c.SIPS, &l.sips),
		l.stream("ws", c.WS, &l.ws),
		l.stream("wss", c.WSS, &l.wss),
		l.stream("admin", c.Admin, &l.admin),
	)
	if err == nil && conf == nil && (l.https != nil || l.sips != nil || l.wss != nil) {
		err = misused(errors.New("--https, --sips and --wss need --tls-cert and --tls-key"))
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listeners) stream(name, addr string, into *net.Listener) error {
	if off(addr) {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return unbound(name, err)
	}
	*into = ln
	l.keep(name, ln, ln.Addr())
	return nil
}

func (l *listeners) packet(name, addr string, into *net.PacketConn) error {
	if off(addr) {
		return nil
	}
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return unbound(name, err)
	}
	*into = conn
	l.keep(name, conn, conn.LocalAddr())
	return nil
}

// sipTries is how often a free port is looked for that both UDP and TCP have, when the port is left to the system.
const sipTries = 20

// sip binds the same port for UDP and TCP: RFC 3261 section 18.1.1 lets a client change to TCP when a request is large.
func (l *listeners) sip(addr string) error {
	if off(addr) {
		return nil
	}
	var err error
	for range sipTries {
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", addr); err != nil {
			break
		}
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", withPort(addr, udp.LocalAddr())); err == nil {
			l.sipUDP, l.sipTCP = udp, tcp
			l.keep("sip", udp, udp.LocalAddr())
			l.bound = append(l.bound, tcp)
			return nil
		}
		udp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" {
			break
		}
	}
	return unbound("sip", err)
}

// unbound tells an address that cannot be from one that another program has.
func unbound(name string, err error) error {
	err = fmt.Errorf("--%s: %w", name, err)
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
		return err
	}
	return misused(err)
}

func withPort(addr string, bound net.Addr) string {
	host, _, _ := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(bound.String())
	return net.JoinHostPort(host, port)
}

func (l *listeners) keep(name string, c interface{ Close() error }, addr net.Addr) {
	l.bound = append(l.bound, c)
	l.addrs[name] = addr.String()
}

func (l *listeners) close() {
	for _, c := range l.bound {
		c.Close()
	}
}

// phoneTLS is for the phones' listeners only. Phones of the last decade know TLS 1.2 and often nothing but RSA key exchange
// and CBC; the admin's listener never offers these.
func phoneTLS(c serveCmd) (*tls.Config, error) {
	if c.TLSCert == "" && c.TLSKey == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, misused(fmt.Errorf("--tls-cert and --tls-key: %w", err))
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	for _, s := range tls.CipherSuites() {
		conf.CipherSuites = append(conf.CipherSuites, s.ID)
	}
	conf.CipherSuites = append(conf.CipherSuites,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	if c.ClientCA == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, misused(fmt.Errorf("--client-ca: %w", err))
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, misused(fmt.Errorf("--client-ca: %s holds no PEM certificate", c.ClientCA))
	}
	conf.ClientAuth = tls.VerifyClientCertIfGiven
	return conf, nil
}
