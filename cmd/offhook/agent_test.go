package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
)

// TestAgentControlBytes: Avaya's 12x0 puts a byte into its User-Agent that net/http refuses; only that header is touched.
func TestAgentControlBytes(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a\r\nuser-Agent: AVAYA/SIP12x0\x17\x7f/04.00.04.00\r\nContent-Length: 3\r\n\r\n\x01\x17\x7f"
	for name, read := range map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
	} {
		client, server := net.Pipe()
		go func() {
			if _, err := io.WriteString(client, request+request); err != nil {
				t.Error(err)
			}
		}()
		in := bufio.NewReader(read(&agentConn{Conn: server}))
		for range 2 {
			r, err := http.ReadRequest(in)
			if err != nil {
				t.Fatal(name, err)
			}
			body, err := io.ReadAll(r.Body)
			if got := r.UserAgent() + string(body); err != nil || got != "AVAYA/SIP12x0??/04.00.04.00\x01\x17\x7f" {
				t.Errorf("%s: %q %v", name, got, err)
			}
		}
		client.Close()
	}
}
