//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// files runs the rounds of serving a phone's file, Offhook and nginx in turn with the same bytes.
func (b *bench) files(ctx context.Context) error {
	offhook, err := b.startOffhook(ctx)
	if err != nil {
		return err
	}
	defer offhook.stop()
	path, agent := b.model.file(accountOf(0, b.model.OUI))
	first, err := fetch(offhook.http, get(path, agent, "", true))
	if err != nil {
		return fmt.Errorf("offhook: %w", err)
	}
	b.report.fileBytes = len(first.body)
	nginx, err := b.startNginx(ctx, path, first.body)
	if err != nil {
		return err
	}
	defer nginx.stop()
	same, err := fetch(nginx.http, get(path, agent, "", true))
	if err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	if !bytes.Equal(same.body, first.body) {
		return errors.New("nginx serves other bytes than offhook")
	}
	etags := map[string]string{"offhook": first.etag, "nginx": same.etag}
	for round := range b.o.Rounds {
		for _, p := range []*process{offhook, nginx} {
			b.say("HTTP round %d of %d: %s (load %s)", round+1, b.o.Rounds, p.name, loadAverage())
			if err := b.fetches(ctx, p, path, agent, etags[p.name]); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}

func (b *bench) fetches(ctx context.Context, p *process, path, agent, etag string) error {
	for _, kind := range []struct {
		name    string
		request []byte
		w       webLoad
	}{
		{"keep-alive", get(path, agent, "", true), webLoad{status: 200, keep: true}},
		{"304", get(path, agent, etag, true), webLoad{status: 304, keep: true}},
		{"connection", get(path, agent, "", false), webLoad{status: 200}},
	} {
		w := kind.w
		w.addr, w.request, w.conns, w.length = p.http, kind.request, b.o.Conns, b.o.Phase
		own := ownCPU()
		before, err := cpu(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		r, err := w.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		after, err := cpu(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		r.cpu, r.own = (after-before)/time.Duration(max(r.answered, 1)), ownCPU()-own
		b.report.add(series{kind.name, flatOut, p.name}, r)
	}
	return nil
}

// get is the request of a phone.
func get(path, agent, etag string, keep bool) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: %s\r\nAccept: */*\r\n", path, agent)
	if etag != "" {
		fmt.Fprintf(&b, "If-None-Match: %s\r\n", etag)
	}
	if !keep {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// page is an answer.
type page struct {
	status int
	etag   string
	length int
	body   []byte // only of fetch
}

func fetch(addr string, request []byte) (page, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return page{}, err
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return page{}, err
	}
	r := bufio.NewReader(conn)
	p, err := readHead(r)
	if err != nil {
		return p, err
	}
	p.body = make([]byte, p.length)
	if _, err := io.ReadFull(r, p.body); err != nil {
		return p, err
	}
	if p.status != 200 || p.length == 0 || p.etag == "" {
		return p, fmt.Errorf("status %d, %d bytes, ETag %q: want 200, a file and an ETag", p.status, p.length, p.etag)
	}
	return p, nil
}

// readHead reads an answer up to its body. Only what the two servers do is understood: Content-Length, no chunks.
func readHead(r *bufio.Reader) (page, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return page{}, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || len(line) < 13 {
		return page{}, fmt.Errorf("no answer in HTTP/1.1: %.40q", line)
	}
	p := page{length: -1}
	if p.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return p, fmt.Errorf("status: %w", err)
	}
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return p, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if p.length, err = strconv.Atoi(string(value)); err != nil {
				return p, fmt.Errorf("content length: %w", err)
			}
		case bytes.EqualFold(name, []byte("ETag")):
			p.etag = string(value)
		}
	}
	if p.status == 304 {
		p.length = 0
	}
	if p.length < 0 {
		return p, errors.New("answer without Content-Length")
	}
	return p, nil
}

// webLoad is connections that each ask again as soon as they were answered.
type webLoad struct {
	addr    string
	request []byte
	status  int
	keep    bool // one connection for all requests; otherwise one each
	conns   int
	length  time.Duration
}

func (w webLoad) run(ctx context.Context) (phase, error) {
	ctx, cancel := context.WithTimeout(ctx, w.length)
	defer cancel()
	var mu sync.Mutex
	var times []int64
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for i := range w.conns {
		wg.Go(func() {
			got, err := w.connection(ctx, net.IPv4(127, 0, 2, byte(i%250+1)))
			mu.Lock()
			defer mu.Unlock()
			times, failed = append(times, got...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	r := phase{sent: len(times), answered: len(times), took: time.Since(began)}
	slices.Sort(times)
	r.p50, r.p99 = time.Duration(percentile(times, 50)), time.Duration(percentile(times, 99))
	if len(times) == 0 && failed == nil {
		failed = errors.New("nothing was answered")
	}
	return r, failed
}

// connection asks until the time is over. Its source is an address of its own: with a connection a request, ports of one
// address would run out.
func (w webLoad) connection(ctx context.Context, from net.IP) ([]int64, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	r := bufio.NewReaderSize(nil, 64<<10)
	var times []int64
	for ctx.Err() == nil {
		began := time.Now()
		if conn == nil {
			var err error
			if conn, err = dialer.Dial("tcp", w.addr); err != nil {
				return times, err
			}
			r.Reset(conn)
		}
		if err := w.ask(conn, r); err != nil {
			return times, err
		}
		if !w.keep {
			_ = conn.Close()
			conn = nil
		}
		times = append(times, int64(time.Since(began)))
	}
	return times, nil
}

func (w webLoad) ask(conn net.Conn, r *bufio.Reader) error {
	if _, err := conn.Write(w.request); err != nil {
		return err
	}
	p, err := readHead(r)
	if err != nil {
		return err
	}
	if p.status != w.status {
		return fmt.Errorf("status %d, want %d", p.status, w.status)
	}
	_, err = r.Discard(p.length)
	return err
}
