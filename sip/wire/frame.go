package wire

import "bytes"

// Frame finds the end of the first message in a stream's buffer (RFC 3261 section 18.3). size 0 means that more must be
// read. sure is false when no length is told or not one that can be believed: the message can be answered, but nothing
// after it can be read. buf begins with the message: blank lines were taken off.
func Frame(buf []byte) (size int, sure bool) {
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, true
	}
	head := end + 4
	body, ok := contentLength(buf[:end+2])
	if !ok || body > MaxMessage-uint64(head) {
		return head, false
	}
	if size = head + int(body); size > len(buf) {
		return 0, true
	}
	return size, true
}

// contentLength wants exactly one.
func contentLength(head []byte) (n uint64, ok bool) {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, crlf)
		head = rest
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || headerID(bytes.TrimRight(name, " \t")) != ContentLength {
			continue
		}
		for len(head) > 0 && (head[0] == ' ' || head[0] == '\t') { // a folded number
			line, head, _ = bytes.Cut(head, crlf)
			value = append(bytes.Clone(value), line...)
		}
		if ok {
			return 0, false
		}
		if n, ok = Number(TrimLWS(value), 1<<40); !ok {
			return 0, false
		}
	}
	return n, ok
}

// Missing is how many bytes of the body are still to come when the head is complete; 0 while the head is not, or nothing
// is missing.
func Missing(buf []byte) int {
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	body, ok := contentLength(buf[:end+2])
	if !ok || body > MaxMessage-uint64(end+4) {
		return 0
	}
	return max(0, end+4+int(body)-len(buf))
}
