package sip

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/sip/digest"
)

var kills = flag.Int("kills", 500, "how often TestKill9ForgetsNothingThatWasAnswered kills the server")

// childEnv makes the test binary a server that is there to be killed.
const childEnv = "OFFHOOK_SIP_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveChild runs a server on the records in dir/records.json and prints its address.
func serveChild(dir string) error {
	m := &memory{}
	b, err := os.ReadFile(dir + "/records.json")
	if err != nil {
		return err
	}
	var entries []fleet.Entry
	if err := json.Unmarshal(b, &entries); err != nil {
		return err
	}
	m.all = map[[2]string][]byte{}
	for _, e := range entries {
		m.all[[2]string{e.Table, e.ID}] = e.Value
	}
	store, err := fleet.Open(context.Background(), fleet.Options{Journal: m, Key: make([]byte, fleet.KeySize), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := New(Config{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: store, Dir: dir, NonceKey: []byte("0123456789abcdef"),
		Now: time.Now, Rand: rand.Reader, UDP: udp, Limits: Limits{SpreadPercent: -1},
		Offer: func([]byte) Offer { return OfferBest },
	})
	if err != nil {
		return err
	}
	fmt.Println(udp.LocalAddr())
	return s.Serve(context.Background())
}

func startChild(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return cmd, line[:len(line)-1]
}

// TestKill9ForgetsNothingThatWasAnswered kills servers at random points of streams of REGISTERs from several phones, again
// and again, and holds what the next server knows against what the phones were told.
func TestKill9ForgetsNothingThatWasAnswered(t *testing.T) {
	var answered, killed atomic.Int64
	t.Run("lanes", func(t *testing.T) {
		const lanes = 4
		for lane := range lanes {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				dir, lines := t.TempDir(), 4
				phones := records(t, dir, lines)
				for range *kills/lanes + 1 { // the last kill is checked by one more start
					killOnce(t, dir, phones)
					killed.Add(1)
				}
				for _, p := range phones {
					answered.Add(int64(p.answered))
				}
			})
		}
	})
	if answered.Load() < killed.Load() {
		t.Errorf("only %d requests were answered: the test kills too early to show anything", answered.Load())
	}
	t.Logf("%d kills, %d requests that were answered, none forgotten", killed.Load(), answered.Load())
}

// phone is one line's, with what it was told.
type phone struct {
	line     fleet.Line
	told     map[string]bool // contact -> bound, by the last 200; absent when no answer came
	answered int
	calls    int
}

// records writes what a child serves.
func records(t *testing.T, dir string, lines int) []*phone {
	t.Helper()
	store := &memory{all: map[[2]string][]byte{}}
	s, err := fleet.Open(t.Context(), fleet.Options{Journal: store, Key: make([]byte, fleet.KeySize), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	d := addDomain(t, s, testDomain)
	var phones []*phone
	for range lines {
		phones = append(phones, &phone{line: addLine(t, s, d), told: map[string]bool{}})
	}
	var entries []fleet.Entry
	for k, v := range store.all {
		entries = append(entries, fleet.Entry{Table: k[0], ID: k[1], Value: v})
	}
	text, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "records.json"), string(text))
	return phones
}

// killOnce starts a server, checks what it remembers, and kills it while all phones talk to it.
func killOnce(t *testing.T, dir string, phones []*phone) {
	t.Helper()
	cmd, addr := startChild(t, dir)
	var clients []*client
	for _, p := range phones {
		conn, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t: t, conn: conn, udp: true, tr: "UDP", callID: fmt.Sprintf("call-%d@x", serial.Add(1))}
		p.check(c)
		clients = append(clients, c)
	}
	var talking sync.WaitGroup
	for i, p := range phones {
		talking.Go(func() { p.talk(clients[i]) })
	}
	time.Sleep(time.Duration(mathrand.Int64N(int64(15 * time.Millisecond))))
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, c := range clients {
		c.conn.Close() // an answer that was not read was not told
	}
	talking.Wait()
}

func (p *phone) to() string { return "<sip:" + p.line.Number + "@" + testDomain + ">" }

// check asks for the bindings and compares them with what was answered before.
func (p *phone) check(c *client) {
	c.t.Helper()
	res := expect(c.t, c.do(p.line, register{to: p.to(), noContact: true}), 200, "")
	bound := map[string]bool{}
	for _, v := range res.all("contact") {
		contact, _, _ := strings.Cut(v, ";")
		bound[contact] = true
	}
	for contact, want := range p.told {
		if bound[contact] != want {
			c.t.Errorf("%s: bound is %v after the kill, a 200 had said %v", contact, bound[contact], want)
		}
	}
}

// talk binds and removes one of a few contacts after the other until the server is gone.
func (p *phone) talk(c *client) {
	challenge, err := c.ask(c.text(register{to: p.to()}))
	if err != nil {
		return
	}
	for nc := 1; ; nc++ {
		contact := fmt.Sprintf("<sip:c%d@192.0.2.1>", p.calls%8)
		p.calls++
		r := register{to: p.to(), contact: contact}
		want := !p.told[contact]
		if !want {
			r.extra = []string{"Expires: 0"}
		}
		r.auth = answerTo(challenge, p.line, r, nc, digest.SHA256)
		delete(p.told, contact) // until the answer is here, both outcomes are right
		res, err := c.ask(c.text(r))
		if err != nil {
			return
		}
		if res.code != 200 {
			c.t.Errorf("answered by %d %s", res.code, res.reason)
			return
		}
		p.told[contact] = want
		p.answered++
	}
}

// ask is send for a server that may be gone.
func (c *client) ask(text string) (response, error) {
	if _, err := c.conn.Write([]byte(text)); err != nil {
		return response{}, err
	}
	answer, err := c.message(quick)
	if err != nil {
		return response{}, err
	}
	return parseResponse(c.t, answer), nil
}
