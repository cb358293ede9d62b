package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
)

// TestAgentControlBytes: Avaya's 12x0 puts a byte into its User-Agent that net/http refuses; only that header is touched, and
// no body.
func TestAgentControlBytes(t *testing.T) {
	const (
		headers = " / HTTP/1.1\r\nHost: a\r\nuser-Agent: AVAYA/SIP12x0\x17\x7f/04.00.04.00\r\n"
		body    = "a log\nUser-Agent: \x01\x17\x7f\n\nUser-Agent: \x01"
	)
	stream := "GET" + headers + "\r\n" + "HEAD" + headers + "\r\n" + "PUT" + headers + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
	for name, read := range map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
	} {
		client, server := net.Pipe()
		go func() {
			if _, err := io.WriteString(client, stream); err != nil {
				t.Error(err)
			}
		}()
		in := bufio.NewReader(read(&agentConn{Conn: server}))
		for _, want := range []string{"", "", body} {
			r, err := http.ReadRequest(in)
			if err != nil {
				t.Fatal(name, err)
			}
			got, err := io.ReadAll(r.Body)
			if agent := r.UserAgent(); err != nil || agent != "AVAYA/SIP12x0??/04.00.04.00" || string(got) != want {
				t.Errorf("%s: %s %q %q %v", name, r.Method, agent, got, err)
			}
		}
		client.Close()
	}
}
