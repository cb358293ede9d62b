package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"offhook/sip/digest"
)

// phone is one simulated phone.
type phone struct {
	creds  credentials
	here   string
	nonce  string
	ha1    digest.Hex
	nc     int
	cseq   int
	branch int
}

// request is a REGISTER of the size that desk phones send.
func (p *phone) request(auth string) []byte {
	p.cseq++
	p.branch++
	return fmt.Appendf(nil, "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bK%[2]s-%[3]d;rport\r\nMax-Forwards: 70\r\n"+
		"From: \"Phone %[2]s\" <sip:%[2]s@example.test>;tag=%[2]s\r\nTo: <sip:%[2]s@example.test>\r\nCall-ID: %[2]s-0123456789abcdef@%[1]s\r\nCSeq: %[4]d REGISTER\r\n"+
		"Contact: <sip:%[2]s@%[1]s;transport=udp>\r\nUser-Agent: Desk T46 66.85.0.5\r\nSupported: path\r\n"+
		"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, NOTIFY, REFER, UPDATE, MESSAGE\r\nExpires: 3600\r\n%[5]sContent-Length: 0\r\n\r\n",
		p.here, p.creds.Number, p.branch, p.cseq, auth)
}

// authorized is a request with the next count of the phone's nonce.
func (p *phone) authorized() []byte {
	p.nc++
	nc := fmt.Sprintf("%08x", p.nc)
	h := func(s string) string { x := digest.MD5.Sum([]byte(s)); return string(x.Bytes()) }
	response := h(string(p.ha1.Bytes()) + ":" + p.nonce + ":" + nc + ":c0ffee:auth:" + h("REGISTER:sip:example.test"))
	return p.request(fmt.Sprintf("Authorization: Digest username=\"%s\",realm=\"example.test\",nonce=\"%s\",uri=\"sip:example.test\","+
		"response=\"%s\",algorithm=MD5,cnonce=\"c0ffee\",qop=auth,nc=%s\r\n", p.creds.Username, p.nonce, response, nc))
}

// socket is one UDP socket with the phones behind it.
type socket struct {
	conn   net.Conn
	phones []*phone
}

func (s *server) sockets(l load) ([]socket, error) {
	out := make([]socket, l.Sockets)
	for i := range out {
		conn, err := net.Dial("udp", s.addr)
		if err != nil {
			return nil, err
		}
		out[i].conn = conn
	}
	for i := range l.Phones {
		c := credentials{Number: fmt.Sprint(10001 + i)}
		if s.creds != nil {
			c = s.creds[i]
		}
		k := &out[i%l.Sockets]
		k.phones = append(k.phones, &phone{creds: c, here: k.conn.LocalAddr().String(), ha1: digest.HA1(digest.MD5, c.Username, "example.test", c.Secret)})
	}
	return out, nil
}

// measure runs the phases: nonces, which are not counted, new bindings, refreshes.
func (s *server) measure(l load) (result, error) {
	r := result{name: s.name}
	sockets, err := s.sockets(l)
	if err != nil {
		return r, err
	}
	defer func() {
		for _, k := range sockets {
			_ = k.conn.Close()
		}
	}()
	if _, err := s.run(l, sockets, 1, (*phone).challenge); err != nil {
		return r, err
	}
	before := s.memory()
	if r.fresh, err = s.run(l, sockets, 1, (*phone).register); err != nil {
		return r, err
	}
	r.memory = (s.memory() - before) / int64(l.Phones)
	r.refreshed, err = s.run(l, sockets, l.Rounds, (*phone).register)
	return r, err
}

// challenge fetches a nonce; register makes or refreshes a binding. Both judge the answer.
func (p *phone) challenge(answer []byte) ([]byte, error) {
	if answer == nil {
		return p.request(""), nil
	}
	_, rest, found := strings.Cut(string(answer), `nonce="`)
	nonce, _, closed := strings.Cut(rest, `"`)
	if p.nonce = nonce; !bytes.HasPrefix(answer, []byte("SIP/2.0 401")) || !found || !closed {
		return nil, fmt.Errorf("no challenge: %.100q", answer)
	}
	return nil, nil
}

func (p *phone) register(answer []byte) ([]byte, error) {
	if answer == nil {
		return p.authorized(), nil
	}
	if !bytes.HasPrefix(answer, []byte("SIP/2.0 200")) {
		return nil, fmt.Errorf("refused: %.400q", answer)
	}
	return nil, nil
}

// run sends a request for each phone, rounds times, at the load's rate, each socket one after the other.
func (s *server) run(l load, sockets []socket, rounds int, step func(*phone, []byte) ([]byte, error)) (phase, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var out phase
	cpu := s.cpu()
	var wg sync.WaitGroup
	for i := range sockets {
		wg.Go(func() {
			times, lost, err := s.drive(&sockets[i], l, rounds, step)
			mu.Lock()
			defer mu.Unlock()
			all, out.lost = append(all, times...), out.lost+lost
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	if len(all) == 0 || failed != nil {
		return out, errors.Join(failed, errors.New("phase failed"))
	}
	slices.Sort(all)
	out.answered, out.cpu = len(all), (s.cpu()-cpu)/time.Duration(len(all))
	out.p50, out.p99 = all[len(all)/2], all[len(all)*99/100]
	return out, nil
}

// drive keeps one socket at its share of the rate. Time that was lost waiting is made up for, so that a slow server is
// asked as much as a fast one.
func (s *server) drive(k *socket, l load, rounds int, step func(*phone, []byte) ([]byte, error)) (times []time.Duration, lost int, err error) {
	gap := time.Second * time.Duration(l.Sockets) / time.Duration(l.Rate)
	next := time.Now()
	buf := make([]byte, 65536)
	for range rounds {
		for _, p := range k.phones {
			time.Sleep(time.Until(next))
			next = next.Add(gap)
			request, _ := step(p, nil)
			sent := time.Now()
			if _, err := k.conn.Write(request); err != nil {
				return times, lost, err
			}
			_ = k.conn.SetReadDeadline(sent.Add(2 * time.Second))
			n, err := k.conn.Read(buf)
			if err != nil {
				lost++
				continue
			}
			times = append(times, time.Since(sent))
			if s.name == "echo" {
				continue
			}
			if _, err := step(p, buf[:n]); err != nil {
				return times, lost, err
			}
		}
	}
	return times, lost, nil
}

// processes are the server's own and its children's ids.
func (s *server) processes() []int {
	group := s.cmd.Process.Pid
	var out []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if f := statFields(path); len(f) > 4 && f[2] == strconv.Itoa(group) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			out = append(out, pid)
		}
	}
	return out
}

// statFields are the fields of proc(5) stat from the state on.
func statFields(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

// cpu is the user and system time of all the server's processes. The kernel counts in hundredths of a second.
func (s *server) cpu() time.Duration {
	var ticks int
	for _, pid := range s.processes() {
		f := statFields(fmt.Sprintf("/proc/%d/stat", pid))
		if len(f) < 13 {
			continue
		}
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		ticks += user + system
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is the proportional set size of all the server's processes, in bytes.
func (s *server) memory() int64 {
	var sum int64
	for _, pid := range s.processes() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.SplitSeq(string(b), "\n") {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				sum += n << 10
			}
		}
	}
	return sum
}
