package sip

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"offhook/sip/location"
	"offhook/sip/outgoing"
)

var errRefused = errors.New("the notification was refused")

// watchNotify is a NOTIFY inside a subscription's dialog.
type watchNotify struct {
	way                          location.Binding
	callID, remote, local, state string
	cseq                         int
	body                         string
}

// render writes the registration state: all of it the first time and when asked, else what changed (RFC 3680 section 5).
func (sub *subscription) render(bindings []location.Binding, now time.Time) *watchNotify {
	n := &watchNotify{
		way: sub.way, callID: sub.callID, remote: sub.remote, local: sub.local, cseq: sub.cseq + 1,
		state: fmt.Sprintf("active;expires=%d", max(int64(sub.expires.Sub(now).Seconds()), 0)),
	}
	if sub.ended != "" {
		n.state = "terminated;reason=" + sub.ended
	}
	aor, state := sub.account.AOR(), "init"
	if len(bindings) > 0 {
		state = "active"
	} else if !sub.full {
		state = "terminated"
	}
	var b strings.Builder
	kind := "partial"
	if sub.full {
		kind = "full"
	}
	fmt.Fprintf(&b, "<?xml version=\"1.0\"?>\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"%d\" state=\"%s\">\n"+
		"<registration aor=\"%s\" id=\"%s\" state=\"%s\">\n", sub.version, kind, escaped(aor), escaped(sub.account.LineID), state)
	if sub.full {
		for i := range bindings {
			writeContact(&b, &bindings[i], "registered", now)
		}
	} else {
		for i := range sub.news {
			writeContact(&b, &sub.news[i].Binding, watchEvent(sub.news[i].Kind), now)
		}
	}
	b.WriteString("</registration>\n</reginfo>\n")
	n.body = b.String()
	return n
}

// watchEvent is a change in the words of RFC 3680 section 5.1.
func watchEvent(kind string) string {
	switch kind {
	case "created":
		return "registered"
	case "replaced":
		return "refreshed"
	case "moved":
		return "deactivated"
	}
	return kind
}

func writeContact(b *strings.Builder, binding *location.Binding, event string, now time.Time) {
	state, left := "active", (binding.Expires-now.UnixMilli())/1000
	switch event {
	case "unregistered", "expired", "deactivated":
		state, left = "terminated", 0
	}
	fmt.Fprintf(b, "<contact id=\"b%d\" state=\"%s\" event=\"%s\" duration-registered=\"%d\" expires=\"%d\" callid=\"%s\" cseq=\"%d\"><uri>%s</uri></contact>\n",
		binding.ID, state, event, max((now.UnixMilli()-binding.Registered)/1000, 0), max(left, 0), escaped(binding.CallID), binding.CSeq, escaped(binding.Contact))
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

func (n *watchNotify) bytes(f *outgoing.Flow, branch string) []byte {
	contact, _, _ := strings.Cut(n.way.Contact, "?")
	sentBy := f.SentBy("")
	return fmt.Appendf(nil, "NOTIFY %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\n"+
		"Call-ID: %s\r\nCSeq: %d NOTIFY\r\nContact: <sip:%s>\r\nEvent: reg\r\nSubscription-State: %s\r\n"+
		"Content-Type: application/reginfo+xml\r\nContent-Length: %d\r\n\r\n%s",
		contact, f.Transport(), sentBy, branch, n.local, n.remote, n.callID, n.cseq, sentBy, n.state, len(n.body), n.body)
}
