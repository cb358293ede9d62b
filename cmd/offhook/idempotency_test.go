package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestIdempotencyKeyOverKill sends one request many times over while the server is killed and started again: one user is made.
func TestIdempotencyKeyOverKill(t *testing.T) {
	s := startServer(t)
	const body = `{"first_name":"Erika","email":"erika@example.test","softphone":{"enabled":true}}`
	ask := func() int {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+s.addrs["admin"]+"/v1/users", strings.NewReader(body))
		if err != nil {
			return 0
		}
		req.Header.Set("Authorization", "Bearer "+s.key)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "one")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0 // killed meanwhile
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for range 3 {
		first := make(chan struct{}, 1)
		var clients sync.WaitGroup
		for range 340 { // a thousand over the three rounds
			clients.Go(func() {
				if status := ask(); status != 0 && status != http.StatusCreated {
					t.Errorf("status %d", status)
				}
				select {
				case first <- struct{}{}:
				default:
				}
			})
		}
		<-first
		s.kill(syscall.SIGKILL)
		clients.Wait()
		s.start()
	}
	if status := ask(); status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if n := s.count("/v1/users"); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}
