package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"offhook/admin"
	"offhook/admin/outbox"
	"offhook/provisioning"
	"offhook/provisioning/fleet"
	"offhook/sip"
	"offhook/sip/federation"
)

func (a *app) wire(context.Context) error {
	if err := a.wirePhones(); err != nil {
		return err
	}
	if err := a.wireSIP(); err != nil {
		return err
	}
	return a.wireAdmin()
}

func (a *app) wirePhones() error {
	key, err := a.keys.derive("http digest nonce")
	if err != nil {
		return err
	}
	a.phones = provisioning.New(provisioning.Config{
		Log: a.log, Store: a.store, Sightings: a.sightings, Catalog: a.catalog, Now: time.Now, Rand: rand.Reader, Key: key,
		Advertise: a.advertise(), TrustedProxies: a.opts.TrustedProxies, Dir: a.opts.Data,
	})
	if err := a.phones.Sweep(); err != nil {
		a.log.Error("uploads of devices that are gone not removed", "error", err)
	}
	a.stopping("learning", a.phones.Flush)
	handler := provisioning.NewHTTP(a.phones)
	a.http("http", a.listen.http, handler)
	a.https("https", a.listen.https, handler)
	if a.listen.tftp != nil {
		server := provisioning.NewTFTP(a.phones)
		a.stopping("tftp", server.Shutdown)
		a.serve = append(a.serve, service{"tftp", func(context.Context) error { return server.Serve(a.listen.tftp) }})
	}
	return nil
}

func (a *app) wireSIP() error {
	if a.listen.sipUDP == nil {
		return nil
	}
	key, err := a.keys.derive("sip digest nonce")
	if err != nil {
		return err
	}
	algorithms, err := sip.Algorithms(a.opts.Registrar.Algorithms)
	if err != nil {
		return misused(err)
	}
	conf := sip.Config{
		Log: a.log, Store: a.store, Dir: a.opts.Data, NonceKey: key, Advertise: a.hosts(),
		UDP: a.listen.sipUDP, TCP: a.listen.sipTCP, TLS: a.listen.sips, WS: a.listen.ws, WSS: a.listen.wss, TLSConfig: a.listen.tls,
		Now: time.Now, Rand: rand.Reader,
		Algorithms: algorithms, ServiceRoute: a.opts.Registrar.ServiceRoute, Limits: a.opts.Registrar.limits(),
		Offer: (&offers{catalog: a.catalog}).offer,
		Seen:  a.phones.LearnSIP,
		Event: func(id string, e fleet.Event) { a.sightings.Note(id, nil, e) },
	}
	if a.opts.Redis != "" {
		if err := a.federate(&conf); err != nil {
			return err
		}
	}
	if a.registrar, err = sip.New(conf); err != nil {
		return fmt.Errorf("registrar: %w", err)
	}
	a.stopping("registrar", a.registrar.Close)
	a.serve = append(a.serve, service{"sip", a.registrar.Serve})
	return nil
}

// federate has the registrar share its registrations with the nodes on the same Redis.
func (a *app) federate(conf *sip.Config) (err error) {
	if conf.Node, err = nodeName(a.opts); err != nil {
		return err
	}
	conf.NodeAddress = a.nodeAddress()
	if a.nodes, err = federation.New(federation.Config{URL: a.opts.Redis, Log: a.log, Now: time.Now, Address: conf.NodeAddress}); err != nil {
		return fmt.Errorf("registrar: %w", err)
	}
	conf.Federate, conf.Reach = a.nodes.Run, a.nodes.Address
	if !conf.NodeAddress.IsValid() {
		a.log.Warn("other nodes cannot send messages to this node's phones: give --sip-node-address", "node", conf.Node)
	}
	a.log.Info("one of several nodes", "node", conf.Node, "address", conf.NodeAddress)
	return nil
}

// nodeAddress is where other nodes reach the registrar: what was said, or what the socket is bound to. A socket that is bound
// to no address has all of this machine's: the advertised one if it is among them - it may be one that the nodes share - or
// the first.
func (a *app) nodeAddress() netip.AddrPort {
	if text := a.opts.Registrar.NodeAddress; text != "" {
		said, _ := netip.ParseAddrPort(text) // Validate has read it
		return said
	}
	bound, err := netip.ParseAddrPort(a.listen.addrs["sip"])
	if err != nil {
		return netip.AddrPort{}
	}
	if bound.Addr().IsUnspecified() {
		text := ownAddress()
		if slices.Contains(interfaceAddresses(), a.host) {
			text = a.host
		}
		first, err := netip.ParseAddr(text)
		if err != nil || first.IsLoopback() {
			return netip.AddrPort{}
		}
		bound = netip.AddrPortFrom(first, bound.Port())
	}
	if !federation.IsAddress(bound) {
		return netip.AddrPort{}
	}
	return bound
}

// sharing is nil while registrations are shared with the other nodes, or there are none.
func (a *app) sharing() error {
	if a.nodes == nil {
		return nil
	}
	return a.nodes.Ready()
}

// wireAdmin gives the API what it may ask of the other fronts: they meet here and nowhere else.
func (a *app) wireAdmin() error {
	if a.listen.admin == nil {
		return nil
	}
	requests, err := a.keys.derive("request hash")
	if err != nil {
		return err
	}
	conf := admin.Config{
		Log: a.log, Store: a.store, Sightings: a.sightings, Catalog: a.catalog, Key: a.keys.admin, Now: time.Now, Rand: rand.Reader,
		RequestKey: fleet.NewSecret(string(requests)), Files: a.files, Preview: a.preview, Settings: a.settings, ProvisioningState: a.phones.State,
		Served: a.phones.Served, Uploads: a.uploads,
		Ready: a.sharing, Metrics: a.metrics(), RequireIfMatch: a.opts.RequireIfMatch, TrustedProxies: a.opts.TrustedProxies,
		MessagesPerSecond: a.opts.Registrar.NotifyRate,
		SMTP:              a.smtp(), Hooks: outbox.NewHookClient(a.opts.WebhookNetworks), PublicURL: a.opts.PublicURL,
	}
	reach := a.advertise()
	conf.PhoneURL = cmp.Or(reach.HTTPS, reach.HTTP)
	if a.registrar != nil {
		conf.Registrations, conf.AuthFailing, conf.Notify = a.registrar.Registrations, a.registrar.AuthFailing, a.notify
	}
	handler, err := admin.New(conf)
	if err != nil {
		return fmt.Errorf("admin API: %w", err)
	}
	a.http("admin", a.listen.admin, handler)
	a.serve = append(a.serve, service{"jobs", handler.Run})
	return nil
}

func (a *app) smtp() outbox.SMTP {
	return outbox.SMTP{
		Host: a.opts.SMTPHost, Port: a.opts.SMTPPort, TLS: a.opts.SMTPTLS, User: a.opts.SMTPUser,
		Password: fleet.NewSecret(a.opts.SMTPPassword), From: a.opts.MailFrom,
	}
}

// notify sends a phone what it acts on, and leaves among its events what became of it.
func (a *app) notify(ctx context.Context, deviceID, event string) error {
	deliveries, err := a.registrar.Notify(ctx, deviceID, event)
	for _, d := range deliveries {
		e := fleet.Event{At: d.SentAt, Type: "notified", Reason: event + ": " + d.Result, Peer: d.Contact, Transport: "sip"}
		if d.Node != "" {
			e.Reason += " through node " + d.Node
		}
		if d.Reason != "" {
			e.Reason += ", " + d.Reason
		}
		a.sightings.Note(deviceID, nil, e)
		if d.Result == "acknowledged" {
			return nil
		}
		err = errors.New(d.Result + ": " + d.Reason)
	}
	return err
}

func (a *app) files(deviceID string) ([]admin.File, error) {
	files, err := a.phones.Files(deviceID)
	out := make([]admin.File, 0, len(files))
	for _, f := range files {
		out = append(out, admin.File(f))
	}
	return out, err
}

func (a *app) preview(deviceID, path string) ([]byte, string, error) {
	body, f, err := a.phones.Preview(deviceID, path)
	return body, f.ContentType, err
}

func (a *app) uploads(deviceID string) ([]admin.Upload, error) {
	sent, err := a.phones.Uploads(deviceID)
	out := make([]admin.Upload, 0, len(sent))
	for _, u := range sent {
		out = append(out, admin.Upload{Name: u.Name, Size: u.Size, UploadedAt: u.At})
	}
	return out, err
}

func (a *app) settings(deviceID string) ([]admin.Setting, error) {
	settings, err := a.phones.Settings(deviceID)
	out := make([]admin.Setting, 0, len(settings))
	for _, s := range settings {
		out = append(out, admin.Setting(s))
	}
	return out, err
}

// ownAddress is the first address of this machine that a phone could reach, loopback when there is none.
func ownAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	for _, addr := range addrs {
		if n, ok := addr.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// hosts are the names that a phone may use for this server in a SIP address.
func (a *app) hosts() []string {
	hosts := []string{a.host, "127.0.0.1", "::1", "localhost"}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return append(hosts, interfaceAddresses()...)
}

// interfaceAddresses are those of this machine.
func interfaceAddresses() (out []string) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, addr := range addrs {
		if n, ok := addr.(*net.IPNet); ok {
			out = append(out, n.IP.String())
		}
	}
	return out
}

// advertise says where rendered files send phones: the advertised host with the ports that are bound.
func (a *app) advertise() provisioning.Advertise {
	base := func(scheme, name string) string {
		if port := a.port(name); port != 0 {
			return scheme + "://" + net.JoinHostPort(a.host, strconv.Itoa(port)) + "/"
		}
		return ""
	}
	return provisioning.Advertise{
		HTTP: base("http", "http"), HTTPS: base("https", "https"), TFTP: base("tftp", "tftp"),
		SIPHost: a.host, UDPPort: a.port("sip"), TCPPort: a.port("sip"), TLSPort: a.port("sips"),
	}
}

// port is the bound port of a listener, 0 when it is off.
func (a *app) port(name string) int {
	_, text, err := net.SplitHostPort(a.listen.addrs[name])
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(text)
	return n
}
