package federation

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// storm is how many phones a benchmark has register at once.
const storm = 10_000

// BenchmarkStorm has ten thousand phones register anew on one node, and waits until the other lists them all.
func BenchmarkStorm(b *testing.B) {
	f := newFixture(b, storm)
	f.redis.relax()
	writer, reader := f.node("a"), f.node("b")
	cseq := uint32(0)
	var registered, known time.Duration
	before, own := f.redis.cpu(), ownCPU(b)
	for b.Loop() {
		cseq++
		f.clock.Advance(time.Second)
		begun := time.Now()
		for i, l := range f.lines {
			writer.do(phone{line: l, contact: fmt.Sprintf("sip:%d@192.0.2.1:5060", i), callID: fmt.Sprint(cseq, l.ID), cseq: cseq, expires: 3600})
		}
		registered += time.Since(begun)
		f.awaitAll(reader)
		known += time.Since(begun)
	}
	changes := float64(storm * b.N)
	b.ReportMetric(changes/known.Seconds(), "changes/s")
	b.ReportMetric(registered.Seconds()/float64(b.N), "s-registering")
	b.ReportMetric(known.Seconds()/float64(b.N), "s-known")
	b.ReportMetric((ownCPU(b)-own)/changes*1e6, "µs-CPU-nodes")
	b.ReportMetric((f.redis.cpu()-before)/changes*1e6, "µs-CPU-Redis")
}

// cpu is how many seconds of a processor Redis has taken.
func (s *server) cpu() float64 {
	s.t.Helper()
	info, err := s.client.InfoMap(context.Background(), "cpu").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		seconds, err := strconv.ParseFloat(info["CPU"][name], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		sum += seconds
	}
	return sum
}

// ownCPU is what this process has taken.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// awaitAll waits until a node has heard of what is true now for every line: of the last one last.
func (f *fixture) awaitAll(n *node) {
	f.t.Helper()
	fresh := func(lineID string) (count int) {
		for _, r := range n.Registrations(lineID) {
			if r.RefreshedAt.Equal(f.clock.Now()) {
				count++
			}
		}
		return count
	}
	eventually(f.t, n.name+" knows the last", func() bool { return fresh(f.lines[storm-1].ID) == 1 })
	if got := fresh(""); got != storm { // reading everything has no order
		f.t.Logf("%s knows %d of %d with the last: changes were missed %d times, Redis was away %d times", n.name, got, storm, n.log.count("were missed"), n.log.count("is away"))
		eventually(f.t, n.name+" knows all", func() bool { return fresh("") == storm })
	}
}

// BenchmarkRedisAlone gives Redis the same scripts from one connection, ready-made: what is left to the nodes is nothing.
func BenchmarkRedisAlone(b *testing.B) {
	f := newFixture(b, storm)
	f.redis.relax()
	n := f.table("a", filepath.Join(b.TempDir(), "log"))
	n.settle()
	for i, l := range f.lines {
		n.do(phone{line: l, contact: fmt.Sprintf("sip:%d@192.0.2.1:5060", i), callID: fmt.Sprint(1, l.ID), cseq: 1, expires: 3600})
	}
	var pipes [][]byte
	var sizes []int
	for updates := n.Gather(batch); len(updates) > 0; updates = n.Gather(batch) {
		var pipe []byte
		for _, u := range updates {
			pipe = appendCommand(pipe, n.fed.evaluation(n.Table, u))
		}
		pipes, sizes = append(pipes, pipe), append(sizes, len(updates))
	}
	conn, err := net.Dial("tcp", f.redis.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	before := f.redis.cpu()
	for b.Loop() {
		for i, pipe := range pipes {
			if _, err := conn.Write(pipe); err != nil {
				b.Fatal(err)
			}
			for range 2 * sizes[i] { // "*1" and ":1"
				if line, err := in.ReadString('\n'); err != nil || line != "*1\r\n" && line != ":1\r\n" {
					b.Fatalf("Redis answers %q: %v", line, err)
				}
			}
		}
	}
	changes := float64(storm * b.N)
	b.ReportMetric(changes/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric((f.redis.cpu()-before)/changes*1e6, "µs-CPU-Redis")
}

func appendCommand(dst []byte, args []any) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n", len(args))
	for _, a := range args {
		var text string
		switch v := a.(type) {
		case []byte:
			text = string(v)
		case string:
			text = v
		default:
			text = fmt.Sprint(v)
		}
		dst = append(append(append(append(append(dst, '$'), strconv.Itoa(len(text))...), "\r\n"...), text...), "\r\n"...)
	}
	return dst
}

// BenchmarkScan has a node read all bindings of the other.
func BenchmarkScan(b *testing.B) {
	f := newFixture(b, storm)
	f.redis.relax()
	writer := f.node("a")
	for i, l := range f.lines {
		writer.do(phone{line: l, contact: fmt.Sprintf("sip:%d@192.0.2.1:5060", i), callID: l.ID, cseq: 1, expires: 3600})
	}
	reader := f.node("b")
	f.awaitAll(reader)
	reader.stop()
	reader = f.table("b", filepath.Join(b.TempDir(), "log"))
	for b.Loop() {
		if err := reader.fed.scan(b.Context(), reader.Table, true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(storm*b.N)/b.Elapsed().Seconds(), "lines/s")
}
