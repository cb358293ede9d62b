package provisioning

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook/provisioning/fleet"
	"offhook/provisioning/fleet/fleettest"
)

// Opcodes of RFC 1350 and RFC 2347.
const (
	opRRQ   = 1
	opWRQ   = 2
	opDATA  = 3
	opACK   = 4
	opERROR = 5
	opOACK  = 6
)

// phone is a TFTP client that shows what came over the wire.
type tftpPhone struct {
	t    *testing.T
	conn *net.UDPConn
	peer *net.UDPAddr // where answers come from; the listener before the first
}

type tftpError_ struct {
	code int
	text string
}

func (e tftpError_) Error() string { return fmt.Sprintf("error %d: %s", e.code, e.text) }

func dialTFTP(t *testing.T, server *net.UDPAddr) *tftpPhone {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &tftpPhone{t: t, conn: conn, peer: server}
}

func (p *tftpPhone) send(op uint16, rest []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDP(append(binary.BigEndian.AppendUint16(nil, op), rest...), p.peer); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tftpPhone) request(op uint16, words ...string) {
	p.t.Helper()
	p.send(op, []byte(strings.Join(words, "\x00")+"\x00"))
}

func (p *tftpPhone) receive() (op uint16, rest []byte) {
	p.t.Helper()
	buf := make([]byte, 70000)
	if err := p.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	n, from, err := p.conn.ReadFromUDP(buf)
	if err != nil || n < 4 {
		p.t.Fatalf("no answer: %d bytes, %v", n, err)
	}
	p.peer = from
	return binary.BigEndian.Uint16(buf), buf[2:n]
}

// read fetches a file and returns the options that were acknowledged and the sizes of the blocks.
func (p *tftpPhone) read(name, mode string, options ...string) (content []byte, oack map[string]string, blocks []int, err error) {
	p.t.Helper()
	p.request(opRRQ, append([]string{name, mode}, options...)...)
	size := 512
	for {
		op, rest := p.receive()
		switch op {
		case opERROR:
			return nil, oack, blocks, tftpError_{int(binary.BigEndian.Uint16(rest)), strings.TrimRight(string(rest[2:]), "\x00")}
		case opOACK:
			oack = map[string]string{}
			words := strings.Split(strings.TrimRight(string(rest), "\x00"), "\x00")
			for i := 0; i+1 < len(words); i += 2 {
				oack[words[i]] = words[i+1]
			}
			if n, err := strconv.Atoi(oack["blksize"]); err == nil {
				size = n
			}
			p.send(opACK, []byte{0, 0})
		case opDATA:
			content = append(content, rest[2:]...)
			blocks = append(blocks, len(rest)-2)
			p.send(opACK, rest[:2])
			if len(rest)-2 < size {
				return content, oack, blocks, nil
			}
		}
	}
}

func (p *tftpPhone) write(name string, content []byte) error {
	p.t.Helper()
	p.request(opWRQ, name, "octet")
	for block := uint16(0); ; block++ {
		op, rest := p.receive()
		switch {
		case op == opERROR:
			return tftpError_{int(binary.BigEndian.Uint16(rest)), strings.TrimRight(string(rest[2:]), "\x00")}
		case op != opACK || binary.BigEndian.Uint16(rest) != block:
			return fmt.Errorf("opcode %d for block %d", op, binary.BigEndian.Uint16(rest))
		case int(block)*512 > len(content):
			return nil
		}
		next := content[int(block)*512 : min(int(block+1)*512, len(content))]
		p.send(opDATA, append(binary.BigEndian.AppendUint16(nil, block+1), next...))
	}
}

// sized makes the device's file exactly n bytes long.
func (r *rig) sized(n int) []byte {
	r.t.Helper()
	r.change(func(d *fleet.Device) { d.Settings.Extra = nil })
	base := len(r.mustGet(file, "", "127.0.0.1").Body)
	params := map[string]string{}
	line := func(size int) { // a line "x00 = ..." of size bytes with its newline
		params[fmt.Sprintf("x%02d", len(params))] = strings.Repeat("v", size-len("x00 = \n"))
	}
	for need := n - base; need > 0; {
		take := min(need, 1000)
		if left := need - take; left > 0 && left < 20 {
			take -= 20
		}
		line(take)
		need -= take
	}
	r.change(func(d *fleet.Device) { d.Settings.Extra = map[string]map[string]string{"acme": params} })
	body := r.mustGet(file, "", "127.0.0.1").Body
	if len(body) != n {
		r.t.Fatalf("the file has %d bytes, not %d", len(body), n)
	}
	return body
}

func TestTFTPSpellings(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	byToken := "/t/" + r.device().Token.Reveal() + file
	own := map[string][]byte{byToken: r.mustGet(byToken, "", "127.0.0.1").Body}
	common := r.mustGet(file, "", "127.0.0.1").Body
	for name, found := range map[string]bool{
		mac + ".cfg": true, file: true, "//" + mac + ".cfg": true, "./" + mac + ".cfg": true, `\` + mac + ".cfg": true,
		`cfg\` + mac + ".cfg": true, "/tftpboot/" + strings.ToUpper(mac) + ".CFG": true, "02-ac-3e-00-00-01.cfg": true,
		"../" + mac + ".cfg": false, `..\` + mac + ".cfg": false, "/etc/passwd": false, "../../../../etc/passwd": false, "": false,
		"/": false, stray: false, mac + ".boot": false, strings.Repeat("a", 480): false, mac + ".cfg\xff": false, "%2e%2e/" + mac + ".cfg": false,
		byToken: true,
	} {
		got, _, _, err := dialTFTP(t, addr).read(name, "octet")
		want := common
		if body, ok := own[name]; ok {
			want = body
		}
		if found && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%q: %v, %d bytes", name, err, len(got))
		}
		if !found && err != (tftpError_{1, "file not found"}) {
			t.Errorf("%q: %v, want error 1", name, err)
		}
	}
	r.wantEvent("served", "provisioning networks")
	if seen := r.sighting(); seen.Transport != "tftp" || seen.Served == "" {
		t.Errorf("sighting %+v", seen)
	}
	if waiting := r.s.conf.Sightings.Waiting(); len(waiting) != 1 || waiting[0].MAC != "02ac3e00ffff" || waiting[0].Transport != "tftp" {
		t.Errorf("waiting: %+v", waiting)
	}
}

// TestTFTPRefusedIsUnknown: outside, a phone that exists gets the same packet as one that does not.
func TestTFTPRefusedIsUnknown(t *testing.T) {
	r := newRig(t)
	r.changeDomain(func(d *fleet.Domain) { d.Networks = prefixes("10.0.0.0/8") })
	r.closeWindow()
	_, addr := r.trivial()
	var packets [2][]byte
	for i, name := range []string{file, stray} {
		p := dialTFTP(t, addr)
		p.request(opRRQ, name, "octet", "blksize", "1024", "tsize", "0")
		op, rest := p.receive()
		packets[i] = append([]byte{byte(op)}, rest...)
	}
	if !bytes.Equal(packets[0], packets[1]) || packets[0][0] != opERROR || packets[0][2] != 1 {
		t.Errorf("known %q, unknown %q", packets[0], packets[1])
	}
	r.wantEvent("denied", "outside the provisioning networks")
	if n := len(r.s.conf.Sightings.Waiting()); n != 0 {
		t.Errorf("%d strangers in the waiting room", n)
	}
}

// TestTFTPOptions covers RFC 2347 to 2349: what is acknowledged holds, what is not known is left out.
func TestTFTPOptions(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	content := r.sized(4096)
	for name, c := range map[string]struct {
		options []string
		oack    map[string]string
		block   int
	}{
		"none":                  {nil, nil, 512},
		"blksize 8":             {[]string{"blksize", "8"}, nil, 512},
		"blksize 511":           {[]string{"blksize", "511"}, nil, 512},
		"blksize 512":           {[]string{"blksize", "512"}, map[string]string{"blksize": "512"}, 512},
		"blksize 1024":          {[]string{"blksize", "1024"}, map[string]string{"blksize": "1024"}, 1024},
		"blksize 1428":          {[]string{"blksize", "1428"}, map[string]string{"blksize": "1428"}, 1428},
		"blksize 1468":          {[]string{"blksize", "1468"}, map[string]string{"blksize": "1428"}, 1428},
		"blksize 65464":         {[]string{"blksize", "65464"}, map[string]string{"blksize": "1428"}, 1428},
		"blksize 65465":         {[]string{"blksize", "65465"}, nil, 512},
		"blksize 0":             {[]string{"blksize", "0"}, nil, 512},
		"blksize -1":            {[]string{"blksize", "-1"}, nil, 512},
		"blksize words":         {[]string{"blksize", "large"}, nil, 512},
		"tsize":                 {[]string{"tsize", "0"}, map[string]string{"tsize": "4096"}, 512},
		"both":                  {[]string{"tsize", "0", "blksize", "1024"}, map[string]string{"tsize": "4096", "blksize": "1024"}, 1024},
		"windowsize, RFC 7440":  {[]string{"windowsize", "16"}, nil, 512},
		"timeout, multicast":    {[]string{"timeout", "3", "multicast", "", "blksize", "1024"}, map[string]string{"blksize": "1024"}, 1024},
		"unknown":               {[]string{"x-acme", "1", "tsize", "0"}, map[string]string{"tsize": "4096"}, 512},
		"option without value":  {[]string{"blksize"}, nil, 512},
		"long made-up option":   {[]string{strings.Repeat("o", 200), strings.Repeat("v", 200)}, nil, 512},
		"zeros before the size": {[]string{"blksize", strings.Repeat("0", 400) + "512"}, map[string]string{"blksize": strings.Repeat("0", 400) + "512"}, 512},
	} {
		t.Run(name, func(t *testing.T) {
			got, oack, blocks, err := dialTFTP(t, addr).read(file, "octet", c.options...)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%v, %d bytes", err, len(got))
			}
			if fmt.Sprint(oack) != fmt.Sprint(c.oack) {
				t.Errorf("acknowledged %v, want %v", oack, c.oack)
			}
			if blocks[0] != c.block {
				t.Errorf("blocks of %d, want %d", blocks[0], c.block)
			}
		})
	}
}

// TestTFTPSizes: a file that fills its last block is followed by an empty one (RFC 1350 section 6).
func TestTFTPSizes(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	for _, size := range []int{1023, 1024, 1025, 1536, 2048, 1428 * 2, 5 * 512} {
		content := r.sized(size)
		for _, block := range []int{512, 1024, 1428} {
			got, _, blocks, err := dialTFTP(t, addr).read(file, "octet", "blksize", strconv.Itoa(block))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes in blocks of %d: %v, got %d", size, block, err, len(got))
			}
			if len(blocks) != size/block+1 {
				t.Errorf("%d bytes in blocks of %d: %d blocks, want %d", size, block, len(blocks), size/block+1)
			}
		}
	}
}

// TestTFTPNetascii: line ends become CR LF (RFC 764), and a size that would be wrong then is not announced.
func TestTFTPNetascii(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	want := bytes.ReplaceAll(r.sized(3000), []byte("\n"), []byte("\r\n"))
	got, oack, _, err := dialTFTP(t, addr).read(file, "netascii", "tsize", "0", "blksize", "1024")
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v, %d bytes, want %d", err, len(got), len(want))
	}
	if _, said := oack["tsize"]; said {
		t.Errorf("acknowledged %v", oack)
	}
}

func TestTFTPWrite(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	content := bytes.Repeat([]byte("0123456789abcdef"), 80)
	for name, allowed := range map[string]bool{
		mac + ".acme": true, "/x/" + strings.ToUpper(mac) + ".ACME": true,
		mac + ".cfg": false, "02ac3e00ffff.acme": false, "../" + mac + ".acme": false, mac + "-log.txt": false, "/etc/passwd": false, "": false,
	} {
		err := dialTFTP(t, addr).write(name, content)
		if allowed && err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if !allowed && err != (tftpError_{2, "Access violation"}) {
			t.Errorf("%q: %v, want error 2", name, err)
		}
	}
	kept := filepath.Join(r.s.conf.Dir, "uploads", r.id, mac+".acme")
	if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, content) {
		t.Errorf("kept %d bytes, %v", len(got), err)
	}
	if err := dialTFTP(t, addr).write(mac+".acme", bytes.Repeat([]byte("x"), 5000)); err == nil || !strings.Contains(err.Error(), "larger than its kind may be") {
		t.Errorf("too large: %v", err)
	}
	if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, content) {
		t.Errorf("a refused upload changed the file: %d bytes, %v", len(got), err)
	}
	r.wantEvent("uploaded", "provisioning networks")
}

// TestTFTPBrokenOff: a phone that does not acknowledge to the end does not count as served.
func TestTFTPBrokenOff(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	r.sized(2000)
	p := dialTFTP(t, addr)
	p.request(opRRQ, file, "octet")
	p.receive()
	p.send(opERROR, append([]byte{0, 3}, "disk full\x00"...))
	deadline := time.Now().Add(10 * time.Second)
	for r.count("transfer_failed") == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // the server has no one to tell
	}
	r.wantEvent("transfer_failed", "did not acknowledge")
	if got := r.s.State(r.id); got != "outdated" {
		t.Errorf("state %q, want outdated", got)
	}
}

func TestTFTPGarbage(t *testing.T) {
	r := newRig(t)
	_, addr := r.trivial()
	p := dialTFTP(t, addr)
	for _, packet := range []string{"", "\x00", "\x00\x01", "\x00\x01\x00", "\x00\x01a", "\x00\x03\x00\x01data", "\x00\x09xx", "\xff\xff\xff\xff", "\x00\x06\x00\x00\x00\x00", "\x00\x05\x00\x00"} {
		if _, err := p.conn.WriteToUDP([]byte(packet), addr); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := dialTFTP(t, addr).read(file, "octet"); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

func TestTFTPManyAtOnce(t *testing.T) {
	const phones = 1000
	r := newRig(t)
	fleettest.Update(t, r.store, func(tx *fleet.Tx) error {
		for i := range phones {
			if _, err := tx.PutDevice(fleet.Device{DomainID: r.domain.ID, MAC: fleet.MAC(fmt.Sprintf("02ac3e1%05x", i))}); err != nil {
				return err
			}
		}
		return nil
	})
	_, addr := r.trivial()
	var all sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range phones {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			own := fmt.Sprintf("02ac3e1%05x", i)
			p := dialTFTP(t, addr)
			defer p.conn.Close()
			got, _, _, err := p.read(own+".cfg", "octet", "blksize", "1428")
			if err != nil || !strings.Contains(string(got), "mac = "+own+"\n") {
				t.Errorf("%s: %v\n%s", own, err, got)
			}
		})
	}
	all.Wait()
}

// TestTFTPSocketDies: the library would spin; Serve ends with an error instead.
func TestTFTPSocketDies(t *testing.T) {
	r := newRig(t)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- NewTFTP(r.s).Serve(conn) }()
	addr := conn.LocalAddr().(*net.UDPAddr)
	if _, _, _, err := dialTFTP(t, addr).read(file, "octet"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case err := <-served:
		if err == nil || !strings.Contains(err.Error(), "socket was closed") {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not end")
	}
}

func TestTFTPShutdownIsBounded(t *testing.T) {
	r := newRig(t)
	server, addr := r.trivial()
	r.sized(2000)
	p := dialTFTP(t, addr)
	p.request(opRRQ, file, "octet")
	p.receive() // and never acknowledge
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("shutdown took %v", took)
	}
	p.send(opERROR, append([]byte{0, 0}, "gone\x00"...)) // for the second shutdown, behind the test
}

func TestTFTPWantsUDP(t *testing.T) {
	if err := NewTFTP(newRig(t).s).Serve(nil); err == nil || !strings.Contains(err.Error(), "not UDP") {
		t.Errorf("Serve: %v", err)
	}
}
