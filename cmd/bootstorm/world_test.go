package main

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// site is a provisioning server of a few lines: what is there is there, the rest is 404.
type site struct {
	*httptest.Server
	registrar string

	mu    sync.Mutex
	files []file
	asked []string // "path|agent", in order
}

func newSite(t *testing.T, files []file, registrar string) *site {
	t.Helper()
	s := &site{files: files, registrar: registrar}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path+"|"+r.UserAgent())
	body, ok := findFile(s.files, r.URL.Path, s.registrar)
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(body)
}

// paths are the requests so far, without the leading slash and the agents.
func (s *site) paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, a := range s.asked {
		path, _, _ := strings.Cut(a, "|")
		out = append(out, path[1:])
	}
	return out
}

// findFile fills $1... from the path, and the registrar's HOST and PORT.
func findFile(files []file, path, registrar string) ([]byte, bool) {
	host, port, _ := net.SplitHostPort(registrar)
	for _, f := range files {
		re, content := regexp.MustCompile("^/"+f.pattern+"$"), f.content
		if m := re.FindStringSubmatchIndex(path); m != nil {
			if strings.Contains(content, "%PORT%") { // names of settings hold the word as well
				content = strings.NewReplacer("%HOST%", host, "%PORT%", port).Replace(content)
			} else {
				content = strings.NewReplacer("HOST", host, "PORT", port).Replace(content)
			}
			return re.ExpandString(nil, content, path, m), true
		}
	}
	return nil, false
}

// file is one that a site has; the first pattern that matches counts.
type file struct{ pattern, content string }

// files are what the four makers' phones can live on, written by hand from what is known about them. The user is always
// 101 and so on; the password goes with the registrar below.
func files() []file {
	const mac = "([0-9a-f]{12})"
	return []file{
		{`snomM[0-9]+-00087B[0-9A-F]{6}\.htm`, `<settings><phone-settings><user_host idx="4">example.test</user_host><user_outbound idx="4">HOST:PORT</user_outbound><srv_sip_transport idx="4">tcp</srv_sip_transport>` +
			`<user_active idx="2">on</user_active><user_name idx="2">101</user_name><user_pname idx="2">auth-101</user_pname><user_pass idx="2">s3cret = 1</user_pass><subscr_sip_ua_data_server_id idx="2">4</subscr_sip_ua_data_server_id></phone-settings></settings>`},
		{`cfg000b82[0-9a-f]{6}\.xml`, `<gs_provision version="1"><config version="1"><P271>0</P271><P401>1</P401><P747>HOST:PORT</P747><P735>101</P735><P736>auth-101</P736><P734>s3cret = 1</P734></config></gs_provision>`},
		{`cfgec74d7[0-9a-f]{6}\.xml`, `<gs_provision version="1"><config version="1"><P47>HOST:PORT</P47><P4595>1</P4595><P4060>101</P4060><P4090>auth-101</P4090><P4120>s3cret = 1</P4120></config></gs_provision>`},
		{`0004f2([0-9a-f]{6})\.cfg`, `<?xml version="1.0"?><APPLICATION APP_FILE_PATH="sip.ld" CONFIG_FILES="[PHONE_MAC_ADDRESS]-line.cfg, all.cfg" OVERRIDES_DIRECTORY="over" CONTACTS_DIRECTORY="dir/"/>`},
		{`0004f2[0-9a-f]{6}-line\.cfg`, `<x><reg reg.1.address="102" reg.1.auth.userId="auth-102" reg.1.auth.password="s3cret = 1" reg.1.server.1.address="HOST" reg.1.server.1.port="PORT" reg.1.server.1.transport="UDPOnly"/>` +
			`<r reg.2.address="202@example.test" reg.2.auth.userId="auth-202" reg.2.auth.password="s3cret = 1" reg.2.server.1.address="HOST" reg.2.server.1.port="PORT"/></x>`},
		{mac + `\.cfg`, "#!version:1.0.0.1\n# a comment\naccount.1.enable = 1\naccount.1.user_name = 101\naccount.1.auth_name = auth-101\naccount.1.password = s3cret = 1\n" +
			"account.1.sip_server.1.address = HOST\naccount.1.sip_server.1.port = PORT\naccount.1.sip_server.1.transport_type = 0\naccount.1.sip_server.1.expires = 600\n" +
			"account.2.enable = 0\naccount.2.user_name = 999\naccount.2.sip_server.1.address = nowhere.test\n"},
		{`y0000000000[0-9]{2}\.cfg`, "#!version:1.0.0.1\nlang.gui = German\naccount.1.user_name =\n"},
		{`all\.cfg`, `<a reg.1.address="the left file wins" lcl.ml.lang="German_Germany"/>`},
		{`snom[A-Z0-9]+-([0-9A-F]{12})\.htm`, `<?xml version="1.0" encoding="utf-8"?><settings><phone-settings e="2"><user_active idx="1" perm="">on</user_active><user_name idx="1" perm="">103</user_name><user_pname idx="1">auth-103</user_pname>` +
			`<user_pass idx="1">s3cret = 1</user_pass><user_host idx="1">example.test</user_host><user_outbound idx="1">HOST:PORT;transport=udp</user_outbound></phone-settings></settings>`},
		{`cfg` + mac + `\.xml`, `<?xml version="1.0"?><gs_provision version="1"><mac>$1</mac><config version="1"><P271>1</P271><P47>HOST:PORT</P47><P35>104</P35><P36>auth-104</P36><P34>s3cret = 1</P34><P32>10</P32><P130>0</P130></config></gs_provision>`},
	}
}

const testPassword = "s3cret = 1"

// registrar is a small one of its own kind: it challenges, checks, and answers with the contact.
type registrar struct {
	udp net.PacketConn
	tcp net.Listener

	mu       sync.Mutex
	offers   []string // algorithms, strongest first
	password string
	drop     int                 // datagrams to lose first
	stale    int                 // good requests to refuse with stale=true first
	minimum  int                 // Min-Expires
	mangle   func(string) string // of a 200's Contact
	seen     []string            // first line and User-Agent of each accepted REGISTER
	ncs      map[string]bool     // nonce|nc seen
	nonces   int
	bound    map[string]string // user -> contact
	push     string            // request to send to every phone after its 200
}

// newRegistrar listens on one port for both transports, with the peculiarities that the setups give it.
func newRegistrar(t *testing.T, setups ...func(*registrar)) *registrar {
	t.Helper()
	udp, tcp := onePort(t)
	r := &registrar{udp: udp, tcp: tcp, offers: []string{"SHA-256", "MD5"}, password: testPassword, ncs: map[string]bool{}, bound: map[string]string{}}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	for _, setup := range setups {
		setup(r)
	}
	go r.serveUDP()
	go r.serveTCP()
	return r
}

// onePort finds a port that is free for both: of the one that the system gives for TCP, UDP may be somebody else's.
func onePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// bindings returns what is registered, and what was seen so far.
func (r *registrar) bindings() (bound map[string]string, seen []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.bound), slices.Clone(r.seen)
}

func (r *registrar) addr() string { return r.tcp.Addr().String() }

func (r *registrar) serveUDP() {
	buf := make([]byte, 65535)
	for {
		n, from, err := r.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, m := range r.answer(string(buf[:n])) {
			_, _ = r.udp.WriteTo([]byte(m), from)
		}
	}
}

func (r *registrar) serveTCP() {
	for {
		conn, err := r.tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			in := bufio.NewReader(conn)
			for {
				var raw bytes.Buffer
				for !bytes.HasSuffix(raw.Bytes(), []byte("\r\n\r\n")) {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					raw.WriteString(line)
				}
				for _, m := range r.answer(raw.String()) {
					_, _ = conn.Write([]byte("\r\n" + m)) // the CRLF is a keepalive's answer that came late
				}
			}
		}()
	}
}

func header(msg, name string) string {
	m := regexp.MustCompile(`(?im)^` + name + `: (.*?)\r$`).FindStringSubmatch(msg)
	if m == nil {
		return ""
	}
	return m[1]
}

func param(auth, name string) string {
	m := regexp.MustCompile(name + `="?([^",]*)"?`).FindStringSubmatch(auth)
	if m == nil {
		return ""
	}
	return m[1]
}

func (r *registrar) answer(msg string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.HasPrefix(msg, "REGISTER ") {
		r.seen = append(r.seen, strings.SplitN(msg, "\r\n", 2)[0])
		return nil
	}
	if r.drop > 0 {
		r.drop--
		return nil
	}
	reply := func(status string, more string) []string {
		return []string{fmt.Sprintf("SIP/2.0 %s\r\nv: %s\r\nFrom: %s\r\nTo: %s;tag=x\r\ni: %s\r\nCSeq: %s\r\n%sl: 0\r\n\r\n", status, header(msg, "Via"), header(msg, "From"), header(msg, "To"), header(msg, "Call-ID"), header(msg, "CSeq"), more)}
	}
	auth := header(msg, "Authorization")
	if !r.good(auth) {
		return reply("401 Unauthorized", r.challenge(""))
	}
	if r.stale > 0 {
		r.stale--
		return reply("401 Unauthorized", r.challenge(", stale=TRUE"))
	}
	var expires int
	_, _ = fmt.Sscan(header(msg, "Expires"), &expires)
	if expires > 0 && expires < r.minimum {
		return reply("423 Interval Too Brief", fmt.Sprintf("Min-Expires: %d\r\n", r.minimum))
	}
	return r.bind(msg, auth, expires, reply)
}

func (r *registrar) bind(msg, auth string, expires int, reply func(string, string) []string) []string {
	r.seen = append(r.seen, strings.SplitN(msg, "\r\n", 2)[0]+"|"+header(msg, "User-Agent")+"|"+param(auth, "algorithm"))
	uri := regexp.MustCompile(`<(.*)>`).FindStringSubmatch(header(msg, "Contact"))[1]
	user := param(auth, "username")
	r.bound[user] = uri
	if expires == 0 {
		delete(r.bound, user)
		return reply("200 OK", "")
	}
	contact := fmt.Sprintf("m: <sip:other@192.0.2.1>;expires=5, <%s>;q=0.5;expires=%d\r\n", uri, expires)
	if r.mangle != nil {
		contact = r.mangle(contact)
	}
	out := reply("200 OK", contact)
	if r.push != "" {
		out = append(out, r.push)
	}
	return out
}

func (r *registrar) challenge(more string) string {
	var b strings.Builder
	b.WriteString("WWW-Authenticate: Basic realm=\"x\"\r\n")
	for _, a := range r.offers {
		r.nonces++
		fmt.Fprintf(&b, "WWW-Authenticate: Digest realm=\"example, \\\"test\\\"\", nonce=\"n%d\", algorithm=%s, qop=\"auth-int,auth\", opaque=\"o\"%s\r\n", r.nonces, a, more)
	}
	return b.String()
}

// good verifies the digest by its definition, and that a nonce count is never used twice.
func (r *registrar) good(auth string) bool {
	if auth == "" {
		return false
	}
	sum := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	if param(auth, "algorithm") == "SHA-256" {
		sum = func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	}
	nonce, nc := param(auth, "nonce"), param(auth, "nc")
	if key := nonce + "|" + nc; r.ncs[key] {
		return false
	} else {
		r.ncs[key] = true
	}
	a1 := sum(param(auth, "username") + `:example, "test":` + r.password)
	a2 := sum("REGISTER:" + param(auth, "uri"))
	return param(auth, "response") == sum(a1+":"+nonce+":"+nc+":"+param(auth, "cnonce")+":auth:"+a2)
}
