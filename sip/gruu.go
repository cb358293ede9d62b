package sip

import (
	"encoding/base64"

	"offhook/sip/location"
)

// appendGRUU appends the two GRUUs of an instance to its Contact (RFC 5627 section 5.2). The public one names the address
// of record. The temporary one names nobody: it is a keyed hash of line, instance and Call-ID, good as long as these
// are registered together, and can be found again only by who has the key.
func (w *worker) appendGRUU(dst []byte, aor string, lineID string, b *location.Binding) []byte {
	dst = append(append(dst, `;pub-gruu="`...), aor...)
	dst = append(append(dst, ";gr="...), gruuValue(b.Instance)...)
	sum := w.hasher.HMAC([]byte("temp-gruu"), []byte(lineID), []byte(b.Instance), []byte(b.CallID))
	dst = append(dst, `";temp-gruu="sip:tgruu-`...)
	dst = base64.RawURLEncoding.AppendEncode(dst, sum[:18])
	dst = append(dst, '@')
	for i := range aor {
		if aor[i] == '@' {
			dst = append(dst, aor[i+1:]...)
		}
	}
	return append(dst, `;gr"`...)
}

// gruuValue is an instance as the gr parameter has it: without the angle brackets, and with nothing in it that would end
// the parameter.
func gruuValue(instance string) []byte {
	var out []byte
	for _, c := range []byte(instance) {
		switch {
		case c == '<' || c == '>':
		case c <= ' ' || c == ';' || c == '"' || c == '?' || c == '@' || c == '%' || c >= 0x7f:
			out = append(out, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		default:
			out = append(out, c)
		}
	}
	return out
}
