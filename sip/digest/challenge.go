package digest

// AppendChallenge appends one header, WWW-Authenticate or another, for one algorithm. The nonce is shared by the
// challenges of a response (RFC 8760 section 2.4: one a header, most preferred first). Nobody needs the opaque back: it is
// there for clients that expect one.
func AppendChallenge(dst []byte, header string, a Algorithm, realm, nonce, opaque []byte, stale bool) []byte {
	dst = append(append(dst, header...), `: Digest realm="`...)
	dst = append(dst, realm...)
	dst = append(dst, `",nonce="`...)
	dst = append(dst, nonce...)
	dst = append(dst, `",opaque="`...)
	dst = append(dst, opaque...)
	dst = append(dst, `",algorithm=`...)
	dst = append(dst, a.String()...)
	dst = append(dst, `,qop="auth"`...)
	if stale {
		dst = append(dst, `,stale=true`...)
	}
	return append(dst, "\r\n"...)
}
