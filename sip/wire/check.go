package wire

// check holds a request against RFC 3261 sections 8.1.1, 8.2 and 21: the same for every transport.
func (m *Message) check() Fault {
	return first(m.checkVersion(), m.checkSingles(), m.readVias(), m.readParties(), m.readCSeq(), m.readTarget(), m.readContacts())
}

func (m *Message) checkVersion() Fault {
	if !EqualFold(m.version, "SIP/2.0") {
		return Fault{505, "Version Not Supported"}
	}
	return Fault{}
}

func (m *Message) checkSingles() Fault {
	for _, need := range [...]struct {
		id     HeaderID
		reason string
	}{{To, "Missing To"}, {From, "Missing From"}, {CallID, "Missing Call-ID"}, {CSeqHeader, "Missing CSeq"}} {
		if len(m.Value(need.id)) == 0 {
			return bad(need.reason)
		}
	}
	if m.repeated {
		return bad("Repeated Header: one value is allowed")
	}
	return Fault{}
}

// readParties reads From and To. From may lack its tag: RFC 2543 had none.
func (m *Message) readParties() Fault {
	var ok bool
	if m.FromAddr, m.FromTag, ok = readParty(m.Value(From)); !ok {
		return bad("Malformed From")
	}
	if m.ToAddr, m.ToTag, ok = readParty(m.Value(To)); !ok {
		return bad("Malformed To")
	}
	if id := m.Value(CallID); IndexLWS(id) >= 0 || len(id) > 255 {
		return bad("Malformed Call-ID")
	}
	return Fault{}
}

// readParty reads an address with its tag.
func readParty(v []byte) (a Address, tag []byte, ok bool) {
	if a, ok = readAddress(v); !ok {
		return a, nil, false
	}
	for params := a.Params; len(params) > 0; {
		p, rest, ok := NextParam(params)
		if !ok {
			return a, nil, false
		}
		if tag == nil && EqualFold(p.Name, "tag") {
			tag = p.Value
		}
		params = rest
	}
	return a, tag, true
}

// readCSeq reads 1*DIGIT LWS Method; the number is below 2^31 (RFC 3261 section 8.1.1.5).
func (m *Message) readCSeq() Fault {
	v := m.Value(CSeqHeader)
	i := IndexLWS(v)
	if i < 0 {
		return bad("Malformed CSeq")
	}
	digits := v[:i]
	for len(digits) > 10 && digits[0] == '0' {
		digits = digits[1:]
	}
	n, ok := Number(digits, 1<<31-1)
	if !ok {
		return bad("CSeq Number Out of Range")
	}
	m.CSeq = uint32(n)
	method := TrimLWS(v[i:])
	if m.Status == 0 && string(method) != string(m.Method) {
		return bad("CSeq Method Differs From Request Method")
	}
	if m.Status != 0 {
		m.Method = method
	}
	return Fault{}
}

func (m *Message) readTarget() Fault {
	if len(m.URI) > MaxURI {
		return Fault{414, "Request-URI Too Long"}
	}
	isSIP, valid := SIP(m.URI)
	switch {
	case !valid:
		return bad("Malformed Request-URI")
	case !isSIP:
		return Fault{416, "Unsupported URI Scheme"}
	}
	var ok bool
	if m.Target, ok = ReadURI(m.URI); !ok || len(m.Target.Headers) > 0 {
		return bad("Malformed Request-URI")
	}
	return Fault{}
}

// readContacts reads what every element must stand up to; what a contact means is the registrar's to say.
func (m *Message) readContacts() Fault {
	for i := range m.Headers {
		h := &m.Headers[i]
		if h.ID != Contact {
			continue
		}
		m.ContactLines++
		if string(h.Value) == "*" {
			m.AllContacts = true
			continue
		}
		for v := h.Value; len(v) > 0; {
			element, rest, ok := NextElement(v)
			if !ok {
				return bad("Malformed Contact")
			}
			a, ok := ReadAddress(element)
			if !ok {
				return bad("Malformed Contact")
			}
			if len(m.Contacts) < MaxContacts {
				m.Contacts = append(m.Contacts, Element{element, a})
			}
			v = rest
		}
	}
	return Fault{}
}
