package sip

import (
	"context"
	"testing"
	"time"

	"offhook/sip/digest"
	"offhook/sip/location"
)

// others stand for the nodes that have to be told.
type others chan *location.Table

func (o others) hear(ctx context.Context, t *location.Table) error {
	t.InTouch(true)
	o <- t
	<-ctx.Done()
	return nil
}

// among makes a server one of several.
func (o others) among(within time.Duration) func(*Config) {
	return func(c *Config) { c.Node, c.Federate, c.Limits.ToldWithin = "a", o.hear, within }
}

func tellAll(t *location.Table) {
	for _, u := range t.Gather(100) {
		taken := make([]bool, len(u.Ops))
		for i := range taken {
			taken[i] = true
		}
		t.Settled(u, taken)
	}
	t.Told()
}

// TestAnswerWaitsForOtherNodes: who registers or unregisters hears of it when the other nodes know; who refreshes hears at
// once, behind one who waits too.
func TestAnswerWaitsForOtherNodes(t *testing.T) {
	everywhere(t, func(t *testing.T, dial dialer) {
		o := make(others, 1)
		r := start(t, o.among(time.Minute))
		table := <-o
		second := addLine(t, r.store, r.domain)
		steady, c := dial(r), dial(r)
		challenge := steady.send(register{})
		steady.post(steady.text(register{auth: answerTo(challenge, r.line, register{}, 1, digest.SHA256)}))
		<-table.Dirty()
		tellAll(table)
		expect(t, steady.read(), 200, "")

		to := "<sip:" + second.Number + "@" + testDomain + ">"
		challenge = c.send(register{to: to})
		for i, expires := range []string{"Expires: 600", "Expires: 0"} {
			c.post(c.text(register{to: to, extra: []string{expires}, auth: answerTo(challenge, second, register{}, i+1, digest.SHA256)}))
			<-table.Dirty()
			expect(t, steady.do(r.line, register{}), 200, "")
			if text, err := c.message(50 * time.Millisecond); err == nil {
				t.Errorf("%s is answered before the other nodes know: %q", expires, text)
			}
			tellAll(table)
			expect(t, c.read(), 200, "")
		}
	})
}

// TestAnswerDoesNotWaitInVain: a phone is answered although nobody can tell the other nodes.
func TestAnswerDoesNotWaitInVain(t *testing.T) {
	everywhere(t, func(t *testing.T, dial dialer) {
		o := make(others, 1)
		r := start(t, o.among(time.Millisecond))
		<-o
		c := dial(r)
		expect(t, c.do(r.line, register{}), 200, "")
		expect(t, c.do(r.line, register{contact: "<sip:another@192.0.2.1>"}), 200, "")
	})
}

// TestHeldAnswerNeedsTheLog: what the log did not take is not answered, whatever the other nodes know.
func TestHeldAnswerNeedsTheLog(t *testing.T) {
	r := start(t)
	w := r.s.newWorker()
	w.held = append(w.held, held{out: []byte("200")})
	w.release(false)
	if len(w.held) != 0 || len(r.s.held) != 0 {
		t.Error("an answer waits to be sent, want it forgotten")
	}
}
