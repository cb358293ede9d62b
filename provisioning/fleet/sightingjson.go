package fleet

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendJSON appends what encoding/json makes of a sighting. Each second it is written for all phones that have done
// something: when a site comes back, that is most of what writing them down costs.
func (s *Sighting) appendJSON(b []byte) []byte {
	o := object{append(b, '{')}
	o.always("device_id", s.DeviceID)
	o.time("last_requested_at", s.LastRequestedAt)
	o.time("last_provisioned_at", s.LastProvisionedAt)
	o.text("peer", s.Peer)
	o.text("transport", s.Transport)
	o.text("user_agent", s.UserAgent)
	o.text("file", s.File)
	o.text("served", s.Served)
	if s.Denied {
		o.b = append(o.name("denied"), "true"...)
	}
	if s.Resync != (Resync{}) {
		o.b = s.Resync.appendJSON(o.name("resync"))
	}
	if len(s.Events) > 0 {
		o.b = append(o.name("events"), '[')
		for i := range s.Events {
			if i > 0 {
				o.b = append(o.b, ',')
			}
			o.b = s.Events[i].appendJSON(o.b)
		}
		o.b = append(o.b, ']')
	}
	return append(o.b, '}')
}

func (r *Resync) appendJSON(b []byte) []byte {
	o := object{append(b, '{')}
	o.always("event", r.Event)
	o.b = appendTime(o.name("sent_at"), r.SentAt)
	o.time("acknowledged_at", r.AcknowledgedAt)
	o.text("failure", r.Failure)
	return append(o.b, '}')
}

func (e *Event) appendJSON(b []byte) []byte {
	o := object{append(b, '{')}
	o.b = appendTime(o.name("at"), e.At)
	o.always("type", e.Type)
	o.text("reason", e.Reason)
	o.text("file", e.File)
	o.text("peer", e.Peer)
	o.text("transport", e.Transport)
	o.b = strconv.AppendInt(o.name("count"), int64(e.Count), 10)
	return append(o.b, '}')
}

// object is a JSON object under way.
type object struct{ b []byte }

// name begins a member. It returns what the value is to be appended to.
func (o *object) name(name string) []byte {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), `":`...)
	return o.b
}

func (o *object) always(name, value string) { o.b = appendText(o.name(name), value) }

// text leaves an empty one out.
func (o *object) text(name, value string) {
	if value != "" {
		o.always(name, value)
	}
}

// time leaves a zero one out.
func (o *object) time(name string, t time.Time) {
	if !t.IsZero() {
		o.b = appendTime(o.name(name), t)
	}
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string has no error
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
