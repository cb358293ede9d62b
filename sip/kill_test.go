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
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"offhook/provisioning/fleet"
)

var kills = flag.Int("kills", 25, "how often TestKill9ForgetsNothingThatWasAnswered kills the server")

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

// TestKill9ForgetsNothingThatWasAnswered kills the server at a random point of a stream of REGISTERs, again and again.
func TestKill9ForgetsNothingThatWasAnswered(t *testing.T) {
	t.Parallel()
	store := &memory{all: map[[2]string][]byte{}}
	s, err := fleet.Open(t.Context(), fleet.Options{Journal: store, Key: make([]byte, fleet.KeySize), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	d := addDomain(t, s, testDomain)
	line := addLine(t, s, d)
	var entries []fleet.Entry
	for k, v := range store.all {
		entries = append(entries, fleet.Entry{Table: k[0], ID: k[1], Value: v})
	}
	records, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/records.json", records, 0o600); err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{} // contact -> bound, by the last 200; absent when no answer came
	next := 0
	for round := range *kills {
		cmd, addr := startChild(t, dir)
		conn, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn, "UDP")
		c.callID = fmt.Sprintf("round-%d@x", round)
		checkTold(t, c, line, told)
		time.AfterFunc(time.Duration(3+round%25*2)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for c.try(line, told, &next) {
		}
		_ = cmd.Wait()
	}
	if next < 50 {
		t.Errorf("only %d requests were answered in all: the test kills too early to show anything", next)
	}
}

// checkTold asks for the bindings and compares them with what was answered before.
func checkTold(t *testing.T, c *client, line fleet.Line, told map[string]bool) {
	t.Helper()
	res := expect(t, c.do(line, register{noContact: true}), 200, "")
	bound := map[string]bool{}
	for _, v := range res.all("contact") {
		for contact := range told {
			if len(v) > len(contact) && v[:len(contact)+1] == contact+";" {
				bound[contact] = true
			}
		}
	}
	for contact, want := range told {
		if bound[contact] != want {
			t.Errorf("%s: bound is %v after the kill, a 200 had said %v", contact, bound[contact], want)
		}
	}
}

// try binds or removes one of a few contacts and notes what was answered; false when the server is gone.
func (c *client) try(line fleet.Line, told map[string]bool, next *int) bool {
	contact := fmt.Sprintf("<sip:c%d@192.0.2.1>", *next%8)
	r := register{contact: contact}
	want := !told[contact]
	if !want {
		r.extra = []string{"Expires: 0"}
	}
	for range 2 {
		if _, err := c.conn.Write([]byte(c.text(r))); err != nil {
			return false
		}
		if r.auth != "" {
			delete(told, contact) // until the answer is here, both outcomes are right
		}
		text, err := c.message(200 * time.Millisecond)
		if err != nil {
			return false
		}
		res := parseResponse(c.t, text)
		if res.code == 200 {
			told[contact] = want
			*next++
			return true
		}
		r.auth = answerTo(res, line, r, 1, 1)
	}
	return false
}
