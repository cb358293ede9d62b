package fleet

import (
	"errors"
	"iter"
	"strings"
)

// PhoneNumber is a number of the public network that belongs to a domain. Its id is the number itself.
type PhoneNumber struct {
	ID       string `json:"id"` // E.164: +4930123456
	DomainID string `json:"domain_id"`
	LineID   string `json:"line_id,omitempty"` // where calls to it go; "" = nowhere yet
	Meta
}

// Check reports every rule that the number breaks.
func (n PhoneNumber) Check() error {
	digits, plus := strings.CutPrefix(n.ID, "+")
	if plus && isDigits(digits, 3, 15) && digits[0] != '0' {
		return nil
	}
	return invalid("/number", "number-invalid", "a phone number is E.164: a plus sign, the country code and the number, at most 15 digits")
}

// PhoneNumber returns a number, or ErrNotFound.
func (s *Snap) PhoneNumber(e164 string) (PhoneNumber, error) {
	return first[PhoneNumber](s, byID, e164)
}

// PhoneNumbers yields the numbers behind cursor (a number, "" = from the beginning), sorted as texts.
func (s *Snap) PhoneNumbers(cursor string) iter.Seq[PhoneNumber] {
	return after[PhoneNumber](s, cursor)
}

// NumbersOf yields the numbers that are routed to a line.
func (s *Snap) NumbersOf(lineID string) iter.Seq[PhoneNumber] {
	return all[PhoneNumber](s, byLine, lineID)
}

// PutPhoneNumber writes a number, new or not. number-taken: it belongs to another domain; line-unknown.
func (t *Tx) PutPhoneNumber(n PhoneNumber) (PhoneNumber, error) {
	if err := n.Check(); err != nil {
		return n, err
	}
	if _, err := t.Domain(n.DomainID); err != nil {
		return n, err
	}
	old, err := t.PhoneNumber(n.ID)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return n, err
	case err == nil && old.DomainID != n.DomainID: // which one is not the asker's to know
		return n, conflict("/number", "number-taken", "this phone number is in use", "")
	}
	if n.LineID != "" {
		if l, err := t.Line(n.LineID); err != nil || l.DomainID != n.DomainID {
			return n, At("/line_id", unknown("line", ErrNotFound))
		}
	}
	return put(t, n)
}

// DeletePhoneNumber removes a number.
func (t *Tx) DeletePhoneNumber(e164 string) error {
	n, err := t.PhoneNumber(e164)
	if err != nil {
		return err
	}
	return t.remove(&n)
}

// unroute leaves the numbers of a line that goes without a line.
func (t *Tx) unroute(lineID string) error {
	for _, n := range collect(t.NumbersOf(lineID)) {
		n.LineID = ""
		if err := t.put(&n); err != nil {
			return err
		}
	}
	return nil
}

func phoneNumbersTable() *table {
	return &table{name: tablePhoneNumbers, noun: "phone_number", fresh: freshOf[PhoneNumber], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*PhoneNumber).DomainID) }},
		{name: byLine, keys: func(r record) []string { return one(r.(*PhoneNumber).LineID) }},
	}}
}

func (n *PhoneNumber) tableName() string          { return tablePhoneNumbers }
func (n *PhoneNumber) key() string                { return n.ID }
func (n *PhoneNumber) meta() *Meta                { return &n.Meta }
func (n *PhoneNumber) copied() record             { c := *n; return &c }
func (n *PhoneNumber) secrets(map[string]*Secret) {}
