package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// facts are what a phone told about itself in a request that it was admitted for, as far as it is believed.
type facts struct {
	maker, model, firmware, serial string
	source                         string // of model, as fleet.Device.ModelSource
	fills                          bool   // the model only fills an empty place; a learnt one stays
	at                             time.Time
}

// learn compares what the request claims with what the fleet knows, and returns the device as it is now known. A model
// that is new is written before the answer leaves, so that whoever asks the API next sees it; the answer itself does
// not depend on that: with the journal away the phone still gets the file of its model.
func (s *Service) learn(q *inquiry, v *view) *view {
	got, doubt := believe(q.catalog, q.id, q.agentMAC, v.device)
	if doubt != "" {
		s.tellOnce(q, v, doubt)
		return v
	}
	got.at = q.now
	d, events := merge(q.catalog, v.device, got)
	if len(events) == 0 && !differs(d, v.device) {
		return v
	}
	written := s.learner.add(s, v.device.ID, got)
	if d.Model == v.device.Model && d.Maker == v.device.Maker {
		return v // firmware and the like: nothing that a file depends on
	}
	s.learner.wait(q.ctx, written)
	return newView(q.catalog, v.rev, d, v.domain)
}

// believe takes from an identity what may be recorded of this device. doubt says why nothing is.
func believe(c *family.Catalog, id family.Identity, agentMAC string, d fleet.Device) (f facts, doubt string) {
	mac := string(d.MAC)
	if mac != "" {
		for _, other := range []string{agentMAC, id.MAC.Value} {
			if other != "" && other != mac {
				return f, "the request names another MAC address than the device's: " + fleet.MAC(other).String()
			}
		}
	}
	known := makerOf(c, d)
	switch {
	case id.Maker.Value == "", id.Maker.Source == "oui" && known != id.Maker.Value:
		return f, "" // prefixes are sold on: an OUI contradicts nobody
	case known != "" && known != id.Maker.Value:
		return f, "the request is that of a " + id.Maker.Value + " phone, the device is known as " + known
	}
	f.maker = id.Maker.Value
	if id.Model.Confidence >= family.Learnable {
		f.model, f.source = clean(id.Model.Value), id.Model.Source
		f.fills = f.source == "request_path" || f.source == "sip_user_agent"
	}
	f.firmware, f.serial = clean(id.Firmware.Value), clean(id.Serial.Value)
	return f, ""
}

// clean drops what no record may hold: a claim comes from a stranger.
func clean(claim string) string {
	if len(claim) > 64 || strings.ContainsFunc(claim, unprintable) || strings.ToValidUTF8(claim, "") != claim {
		return ""
	}
	return claim
}

// merge puts facts into a device. A model that an admin typed stays; what contradicts it is kept beside it.
func merge(c *family.Catalog, d fleet.Device, f facts) (fleet.Device, []fleet.Event) {
	var events []fleet.Event
	event := func(kind, reason string) { events = append(events, fleet.Event{At: f.at, Type: kind, Reason: reason}) }
	if d.Maker == "" {
		d.Maker = f.maker
	}
	switch same := sameModel(c, makerOf(c, d), d.Model, f.model); {
	case f.model == "" || same && d.ModelSeen == "":
	case same && f.source == d.ModelSource:
		// what the record was made from says what it always said; the other source, which contradicts it, has not changed
		// its mind. Some phones name themselves in two ways at each boot: that is told once.
	case same:
		d.ModelSeen = ""
	case d.Model == "" || d.ModelSource != "manual" && !f.fills:
		at := f.at
		d.Model, d.ModelSource, d.DetectedAt, d.ModelSeen = f.model, f.source, &at, ""
		event("model_detected", fmt.Sprintf("the %s says %s", sourceText(f.source), f.model))
	case d.ModelSource != "manual" && f.source == "request_path":
		// a file name is weaker than what the phone has said itself
	case d.ModelSeen != f.model:
		d.ModelSeen = f.model
		event("model_mismatch", fmt.Sprintf("the %s says %s, the device is recorded as %s", sourceText(f.source), f.model, d.Model))
	}
	if f.firmware != "" && f.firmware != d.Firmware {
		if d.Firmware != "" {
			event("firmware_changed", fmt.Sprintf("from %s to %s", d.Firmware, f.firmware))
		}
		d.Firmware = f.firmware
	}
	if f.serial != "" {
		d.Serial = f.serial
	}
	return d, events
}

func sourceText(source string) string { return strings.ReplaceAll(source, "_", " ") }

// sameModel compares two spellings through the catalogue.
func sameModel(c *family.Catalog, maker, a, b string) bool {
	if a == b {
		return true
	}
	if x, ok := c.Model(maker, a); ok {
		a = x.ID
	}
	if y, ok := c.Model(maker, b); ok {
		b = y.ID
	}
	return strings.EqualFold(a, b)
}

// differs compares what merge can change.
func differs(a, b fleet.Device) bool {
	return a.Maker != b.Maker || a.Model != b.Model || a.ModelSource != b.ModelSource || a.ModelSeen != b.ModelSeen ||
		a.Firmware != b.Firmware || a.Serial != b.Serial
}

// LearnSIP takes a registration: a phone that fetches over TFTP says only there what it is. It fills an empty model, and
// reports a contradiction; it returns at once. known is the nameplate of the device, which most registrations only repeat:
// then the record is not looked at.
func (s *Service) LearnSIP(r fleet.Registration, known fleet.Plate) {
	if r.DeviceID == "" {
		return
	}
	c := s.catalog()
	id := s.read(c, Request{Transport: "sip", UserAgent: r.UserAgent}).id
	if repeats(id, known) {
		return
	}
	d, err := s.conf.Store.Snap().Device(r.DeviceID)
	if err != nil {
		return // deleted meanwhile
	}
	got, doubt := believe(c, id, "", d)
	if doubt != "" {
		s.log.Info("nothing learnt from a registration", "mac", d.MAC, "reason", doubt)
		return
	}
	got.at = s.conf.Now().UTC()
	if !news(c, d, got) {
		return
	}
	if told := s.fetchedFirmware(c, d); told != "" {
		got.firmware = told
	}
	if news(c, d, got) {
		s.learner.add(s, d.ID, got)
	}
}

// repeats reports whether an identity claims nothing but what stands on a nameplate, so that there is nothing to learn and
// nothing to doubt.
func repeats(id family.Identity, known fleet.Plate) bool {
	same := func(c family.Claim, known string) bool { return c.Value == "" || c.Value == known }
	if !same(id.MAC, string(known.MAC)) {
		return false
	}
	return id.Maker.Value == "" || id.Maker.Value == known.Maker && same(id.Model, known.Model) && known.ModelSeen == "" &&
		same(id.Firmware, known.Firmware) && same(id.Serial, known.Serial)
}

// news reports whether facts would change what is recorded.
func news(c *family.Catalog, d fleet.Device, f facts) bool {
	after, _ := merge(c, d, f)
	return differs(after, d)
}

// fetchedFirmware is what the phone named when it last fetched a file, "" if it named none. Some makers' phones print it in
// another form in SIP, which is no change of firmware; a real one is told at the next boot, which begins with a fetch. It
// may not have been written yet, so the record alone does not say.
func (s *Service) fetchedFirmware(c *family.Catalog, d fleet.Device) string {
	agent := s.conf.Sightings.Of(d.ID).UserAgent
	if agent == "" {
		return ""
	}
	id := c.Identify(family.Evidence{Proto: "http", Agent: agent})
	if id.Maker.Value != makerOf(c, d) {
		return ""
	}
	return clean(id.Firmware.Value)
}

// learner writes facts in batches: while one is being written, the next collects. A thousand phones that boot at once
// cost a few writes, and each waits for one.
type learner struct {
	mu        sync.Mutex
	pending   map[string]facts // by device id
	round     chan struct{}    // closed when what is pending has been tried
	scheduled bool             // somebody is going to write what is pending
	retryAt   time.Time        // after a failure nobody waits before this

	writing sync.Mutex     // held by the one who writes
	running sync.WaitGroup // whatever goes on behind an answer
}

// Bounds of learning. An answer waits for its facts to be written at most maxWait; then they follow.
const (
	maxWait    = time.Second
	maxPending = 16 << 10
	retryAfter = 5 * time.Second
)

// add queues facts and returns a channel that closes when they have been tried; nil when there is nothing to wait for.
func (l *learner) add(s *Service, deviceID string, f facts) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.pending[deviceID]; !ok && len(l.pending) >= maxPending {
		return nil // the journal has been away for long; the phones will tell again
	}
	l.pending[deviceID] = f
	if time.Now().Before(l.retryAt) {
		return nil
	}
	if !l.scheduled {
		l.scheduled = true
		l.running.Go(func() { _ = s.writeFacts(context.Background()) }) // logged there
	}
	return l.round
}

func (l *learner) wait(ctx context.Context, written <-chan struct{}) {
	if written == nil {
		return
	}
	limit := time.NewTimer(maxWait)
	defer limit.Stop()
	select {
	case <-written:
	case <-limit.C:
	case <-ctx.Done():
	}
}

func (l *learner) take() (map[string]facts, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch, round := l.pending, l.round
	l.pending, l.round, l.scheduled = map[string]facts{}, make(chan struct{}), false
	return batch, round
}

// giveBack keeps a batch that could not be written, for the timer or the next phone to try again.
func (l *learner) giveBack(s *Service, batch map[string]facts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, f := range batch {
		if _, newer := l.pending[id]; !newer && len(l.pending) < maxPending {
			l.pending[id] = f
		}
	}
	l.retryAt = time.Now().Add(retryAfter)
	if !l.scheduled {
		l.scheduled = true
		time.AfterFunc(retryAfter, func() { _ = s.writeFacts(context.Background()) }) // logged there
	}
}

// writeFacts writes everything that is pending in one transaction, and then its events.
func (s *Service) writeFacts(ctx context.Context) error {
	s.learner.writing.Lock()
	defer s.learner.writing.Unlock()
	batch, round := s.learner.take()
	defer close(round)
	if len(batch) == 0 {
		return nil
	}
	var events map[string][]fleet.Event
	err := s.conf.Store.Update(byPhone(ctx, "learn"), func(tx *fleet.Tx) error {
		events = map[string][]fleet.Event{} // the function may run again
		for id, f := range batch {
			if err := s.record(tx, id, f, events); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log.Error("what phones told is not recorded yet", "phones", len(batch), "error", err)
		s.learner.giveBack(s, batch)
		return fmt.Errorf("record what phones told: %w", err)
	}
	for id, list := range events {
		s.conf.Sightings.Note(id, nil, list...)
	}
	return nil
}

// byPhone says in the audit log that no person did this.
func byPhone(ctx context.Context, action string) context.Context {
	return fleet.WithActor(ctx, fleet.Actor{Name: "phone", Action: action})
}

// record writes one device. One that is gone, or that the facts do not fit, is left out: the others are not to blame.
func (s *Service) record(tx *fleet.Tx, id string, f facts, events map[string][]fleet.Event) error {
	before, err := tx.Device(id)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d, list := merge(s.catalog(), before, f)
	if !differs(d, before) {
		return nil
	}
	_, err = tx.PutDevice(d)
	var field *fleet.FieldError
	if errors.As(err, &field) {
		s.log.Error("facts about a device left out", "device", id, "error", err)
		return nil
	}
	if err == nil {
		events[id] = list
	}
	return err
}

// Flush writes what has been learnt and what phones were served, and waits for everything that goes on behind answers. It
// is called at shutdown, when no more requests come in.
func (s *Service) Flush(ctx context.Context) error {
	err := errors.Join(s.writeFacts(ctx), s.served.save(s.conf.Dir))
	done := make(chan struct{})
	go func() {
		s.learner.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("wait for what is being recorded: %w", ctx.Err()))
	}
}
