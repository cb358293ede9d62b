package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// startRedis starts a real Redis on loopback.
func startRedis(t *testing.T) (addr string, cmd *exec.Cmd) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing: install the Debian package redis-server")
	}
	// An address of 127.0.0.0/8 of its own: on 127.0.0.1 another socket could be given the port before Redis has it.
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	host, port := split(t, addr)
	cmd = exec.Command(path, "--bind", host, "--protected-mode", "no", "--port", port, "--dir", t.TempDir(), "--appendonly", "yes", "--save", "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "Redis listens", func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	})
	return addr, cmd
}

// TestTwoNodesOnOneRedis makes a user on one node and provisions the phone on the other; without Redis, phones are served
// on and writes are refused.
func TestTwoNodesOnOneRedis(t *testing.T) {
	redis, process := startRedis(t)
	shared := []string{"--redis", "redis://" + redis + "/0", "--secret-key", strings.Repeat("5a", 32), "--admin-key", testKey}
	a, b := startServer(t, shared...), startServer(t, shared...)
	created := a.createUser(testMAC)
	device := at(t, created, "devices", 0, "id").(string)

	fetch := func() (string, error) {
		return peer(t, "curl", "-sSf", "-A", testAgent, "http://"+b.addrs["http"]+"/"+testFile)
	}
	eventually(t, "the other node serves the phone", func() error {
		body, err := fetch()
		if err == nil && !strings.Contains(body, "account.1.user_name = 101") {
			err = errors.New(body)
		}
		return err
	})
	eventually(t, "the first node knows the model that the second one learnt", func() error {
		if d := a.call("GET", "/v1/devices/"+device, nil, http.StatusOK); d["model"] != "T46S" {
			return errors.New("not yet")
		}
		return nil
	})

	a.call("PATCH", "/v1/users/"+created["id"].(string), map[string]any{"email": "erika@example.test", "login_enabled": true, "password": "CanaryPassword"}, http.StatusOK)
	session := a.call("POST", "/v1/sessions", map[string]any{"email": "erika@example.test", "password": "CanaryPassword"}, http.StatusCreated)
	whoAmI := func() (string, error) {
		return peer(t, "curl", "-sSf", "-H", "Authorization: Bearer "+session["token"].(string), "http://"+b.addrs["admin"]+"/v1/sessions/current")
	}
	eventually(t, "who has signed in on one node is known on the other", func() error { _, err := whoAmI(); return err })
	a.call("DELETE", "/v1/sessions/"+session["id"].(string), nil, http.StatusOK)
	eventually(t, "who was signed out on one node is out on the other", func() error {
		if body, err := whoAmI(); err == nil {
			return errors.New(body)
		}
		return nil
	})

	if err := process.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	if body, err := fetch(); err != nil || !strings.Contains(body, "account.1.password") {
		t.Errorf("without Redis a known phone gets %v: %s", err, body)
	}
	refused := a.call("POST", "/v1/users", map[string]any{"first_name": "Max"}, http.StatusServiceUnavailable)
	if refused["type"] == nil || !strings.Contains(refused["type"].(string), "/problems/") {
		t.Errorf("without Redis a write is answered with %v, want a problem", refused)
	}
}
