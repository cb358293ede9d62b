package fleet_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

func backup(t *testing.T, s *fleet.Store) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBackupHoldsNoSecret(t *testing.T) {
	f := fleettest.NewFixture(t)
	var w fleet.Webhook
	fleettest.Update(t, f.Store, func(tx *fleet.Tx) (err error) {
		w, err = tx.PutWebhook(fleet.Webhook{URL: "https://example.test/"})
		return err
	})
	text := backup(t, f.Store)
	for _, secret := range []fleet.Secret{f.Line.Secret, f.Device.HTTPPassword, f.Device.Token, w.Secret} {
		if strings.Contains(text, secret.Reveal()) {
			t.Errorf("a secret stands in clear in the backup")
		}
	}
	if !strings.Contains(text, f.Line.ID) || !strings.HasPrefix(text, fmt.Sprintf(`{"offhook_backup":1,"revision":%d}`, f.Store.Revision())) {
		t.Errorf("it begins with %.60s", text)
	}
}

// TestRestoreRefuses damages a backup in each way that there is, and holds that nothing was written.
func TestRestoreRefuses(t *testing.T) {
	f := fleettest.NewFixture(t)
	good := backup(t, f.Store)
	lines := strings.SplitAfter(good, "\n")
	cases := map[string]struct{ text, reason string }{
		"nothing":         {"", "no backup of Offhook"},
		"something else":  {"first_name;last_name\nErika;Mustermann\n", "no backup of Offhook"},
		"newer":           {strings.Replace(good, `"offhook_backup":1`, `"offhook_backup":2`, 1), "version 2"},
		"cut off":         {strings.Join(lines[:5], ""), "cut off after line 5"},
		"cut in a line":   {good[:len(good)-20], "cut off"},
		"a line too few":  {strings.Join(lines[:3], "") + strings.Join(lines[4:], ""), "checksum"},
		"a changed byte":  {strings.Replace(good, "Mustermann", "Musterfrau", 1), "checksum"},
		"damaged":         {lines[0] + "{\n" + strings.Join(lines[1:], ""), "line 2 of the backup is damaged"},
		"a foreign table": {lines[0] + `{"table":"faxes","id":"a","value":{}}` + "\n" + strings.Join(lines[1:], ""), `table "faxes"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := fleettest.NewMemory()
			if err := fleet.Restore(t.Context(), m, strings.NewReader(c.text)); !errorSays(err, c.reason) {
				t.Errorf("error %v, want %q in it", err, c.reason)
			}
			if rev, err := m.Load(t.Context(), func(fleet.Entry) error { return errors.New("there is a record") }); rev != 0 || err != nil {
				t.Errorf("the journal stands at %d: %v", rev, err)
			}
		})
	}
	full := fleettest.NewMemory()
	fleettest.Update(t, fleettest.Open(t, full, fleettest.NewClock()), putDomain("here.test"))
	if err := fleet.Restore(t.Context(), full, strings.NewReader(good)); !errorSays(err, "records already") {
		t.Errorf("into a full journal: %v", err)
	}
}

func TestRestoreAfterAnInterruptedOne(t *testing.T) {
	f := fleettest.NewFixture(t)
	fleettest.Update(t, f.Store, putDomain("more.test"))
	fleettest.Update(t, f.Store, putDomain("most.test"))
	m := fleettest.NewMemory()
	broken := fleettest.NewFaulty(m)
	if err := fleet.Restore(t.Context(), broken, strings.NewReader(backup(t, f.Store))); !errorSays(err, "revision of the backup") {
		t.Errorf("a journal that cannot jump: %v", err)
	}
	if err := m.Jump(t.Context(), 0, f.Store.Revision()-1); err != nil { // so far it had come
		t.Fatal(err)
	}
	if err := fleet.Restore(t.Context(), broken, strings.NewReader(backup(t, f.Store))); err != nil {
		t.Fatal(err)
	}
	if again := fleettest.Open(t, m, fleettest.NewClock()); again.Revision() != f.Store.Revision() || !hasDomain(again, "most.test") {
		t.Errorf("revision %d", again.Revision())
	}
}

func FuzzRestore(f *testing.F) {
	fix := fleettest.New(f)
	fleettest.Update(f, fix, putDomain("a.test"))
	var b bytes.Buffer
	if err := fix.Backup(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"offhook_backup":1,"revision":18446744073709551615}` + "\n" + `{"records":0,"sha256":"x"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := fleettest.NewMemory()
		if fleet.Restore(t.Context(), m, bytes.NewReader(text)) == nil && !bytes.HasPrefix(text, []byte("{")) {
			t.Error("taken for a backup")
		}
	})
}
