package sip

import (
	"encoding/base64"
	"encoding/binary"

	"offhook/sip/location"
	"offhook/sip/wire"
)

// tempPrefix begins the user part of a temporary GRUU. No line has such a number.
const tempPrefix = "tgruu-"

// appendGRUU appends the two GRUUs of an instance to its Contact (RFC 5627 section 5.2). The public one names the address
// of record and stays. The temporary one names nobody and is another one after each REGISTER: one encrypted block that says
// which registration - line, instance and Call-ID - and which CSeq it is from. So all that a registration was given are good
// as long as it lasts, none after it, and nothing has to be kept of them.
func (w *worker) appendGRUU(dst []byte, aor string, lineID string, b *location.Binding) []byte {
	dst = append(append(dst, `;pub-gruu="`...), aor...)
	dst = append(append(dst, ";gr="...), gruuValue(b.Instance)...)
	token := &w.token
	copy(token[:8], w.hasher.HMAC([]byte("temp-gruu"), []byte(lineID), []byte(b.Instance), []byte(b.CallID)))
	binary.BigEndian.PutUint32(token[8:], b.CSeq)
	clear(token[12:]) // who decrypts a forged one finds something else here
	w.gruu.Encrypt(token[:], token[:])
	dst = append(append(dst, `";temp-gruu="sip:`...), tempPrefix...)
	dst = base64.RawURLEncoding.AppendEncode(dst, token[:])
	dst = append(dst, '@')
	for i := range aor {
		if aor[i] == '@' {
			dst = append(dst, aor[i+1:]...)
		}
	}
	return append(dst, `;gr"`...)
}

// isGRUU reports whether a URI at a domain of ours has the form of one.
func isGRUU(u wire.URI) bool {
	_, gr := wire.URIParam(u.Params, "gr")
	return gr && len(u.User) > len(tempPrefix) && string(u.User[:len(tempPrefix)]) == tempPrefix
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
