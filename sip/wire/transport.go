package wire

// Transport is how a message travels.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
	TLS
	WS
	WSS
)

// String is the transport's name in lower case.
func (t Transport) String() string {
	switch t {
	case TCP:
		return "tcp"
	case TLS:
		return "tls"
	case WS:
		return "ws"
	case WSS:
		return "wss"
	}
	return "udp"
}

// Reliable reports whether the transport is a stream.
func (t Transport) Reliable() bool { return t != UDP }
