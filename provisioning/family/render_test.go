package family

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// file finds a [[file]] of the good family by its path.
func file(t *testing.T, f *Family, path string) File {
	t.Helper()
	for _, file := range f.Files {
		if file.Path == path {
			return file
		}
	}
	t.Fatalf("no file %s", path)
	return File{}
}

// phone is the fixture of a case for the good family's first model.
func phone(t *testing.T, f *Family, name string) Phone {
	t.Helper()
	for _, fx := range Fixtures(f, f.Models[0]) {
		if fx.Case == name {
			return fx.Phone
		}
	}
	t.Fatalf("no case %s", name)
	return Phone{}
}

func TestRender(t *testing.T) {
	c, f := acme(t)
	p := phone(t, f, "two-lines")
	p.Accounts[1].DisplayName = "  a & <b> "
	tests := map[string]struct{ path, want string }{
		"ini with CRLF": {"{mac}.cfg", "# settings of One 100\r\nurl = http://prov.example.test/\r\nlanguage = English\r\nclock24 = 0\r\nntp.1 = ntp.example.test\r\n" +
			"\r\naccount.1.name = Erika Mustermann\r\naccount.1.user = 101\r\naccount.1.auth = auth-101\r\naccount.1.password = Fixture-Pass-101\r\naccount.1.server = sip.example.test:5060\r\naccount.1.srtp = 0" +
			"\r\naccount.2.name = a & <b>\r\naccount.2.user = 102\r\naccount.2.auth = auth-102\r\naccount.2.password = Fixture-Pass-102\r\naccount.2.server = 192.0.2.10\r\naccount.2.srtp = 1\r\n"},
		"xml": {"acme-{model}-{MAC}.xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<phone mac="02:AC:3E:A1:B2:C3"><line n="1" name="Erika Mustermann" user='101'>Fixture-Pass-101</line><line n="2" name="  a &amp; &lt;b&gt; " user='102'>Fixture-Pass-102</line>` + "\n</phone>\n"},
		"json": {"acme-common.json", `{"url": "http://prov.example.test/", "ntp": ["ntp.example.test"]}` + "\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := c.Render(f, file(t, f, tc.path), p)
			if err != nil || string(got) != tc.want {
				t.Errorf("Render gives %v\n%q\nwant\n%q", err, got, tc.want)
			}
		})
	}
}

func TestRenderMasked(t *testing.T) {
	c, f := acme(t)
	p := phone(t, f, "two-lines")
	got, err := c.RenderMasked(f, file(t, f, "{mac}.cfg"), p)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "Fixture-Pass") || strings.Count(string(got), "password = ***\r\n") != 2 {
		t.Errorf("masked file:\n%s", got)
	}
}

func TestDerivedSecret(t *testing.T) {
	_, f := acme(t)
	for path, want := range map[string]bool{"{mac}.cfg": true, "acme-{model}-{MAC}.xml": true, "a{code}.cfg": false, "acme-common.json": false, "keys/{part}/{mac-}.txt": false} {
		if got := file(t, f, path).Secret; got != want {
			t.Errorf("%s: Secret is %v, want %v", path, got, want)
		}
	}
}

func TestContentType(t *testing.T) {
	_, f := acme(t)
	for path, want := range map[string]string{"{mac}.cfg": "text/plain; charset=utf-8", "acme-{model}-{MAC}.xml": "application/xml", "acme-common.json": "application/vnd.acme+json"} {
		if got := file(t, f, path).ContentType; got != want {
			t.Errorf("%s: content type %q, want %q", path, got, want)
		}
	}
}

// TestRenderRefuses: what would break out of a line is an error that names the place and never the value.
func TestRenderRefuses(t *testing.T) {
	c, f := acme(t)
	tests := map[string]struct {
		path   string
		change func(*Phone)
		want   string
	}{
		"newline in ini":  {"{mac}.cfg", func(p *Phone) { p.Accounts[0].DisplayName = "x\nadmin = 1" }, "acme/files/device.cfg.tmpl:3:29: {{.DisplayName}}: the value holds control character U+000A, which no setting of a phone may"},
		"return in xml":   {"acme-{model}-{MAC}.xml", func(p *Phone) { p.Accounts[0].DisplayName = "x\ry" }, "acme/files/_lines.tmpl:1:57: {{$a.DisplayName}}: the value holds control character U+000D, which no setting of a phone may"},
		"NUL in a secret": {"{mac}.cfg", func(p *Phone) { p.Accounts[0].Password = NewSecret("hush\x00") }, "acme/files/device.cfg.tmpl:6:33: {{.Password}}: the value holds control character U+0000, which no setting of a phone may"},
		"line separator":  {"{mac}.cfg", func(p *Phone) { p.Accounts[0].User = "1\u20282" }, "acme/files/device.cfg.tmpl:4:29: {{.User}}: the value holds control character U+2028, which no setting of a phone may"},
		"invalid UTF-8":   {"{mac}.cfg", func(p *Phone) { p.Accounts[0].User = "1\xff2" }, "acme/files/device.cfg.tmpl:4:29: {{.User}}: the value is not valid UTF-8"},
		"not XML 1.0":     {"acme-{model}-{MAC}.xml", func(p *Phone) { p.Accounts[0].User = "1\uffff2" }, "acme/files/_lines.tmpl:1:83: {{$a.User}}: the value holds U+FFFE or U+FFFF, which XML 1.0 has no way to write"},
		"raw parameter":   {"{mac}.cfg", func(p *Phone) { p.Extra = []Param{{"ok", "1"}, {"a = b\nc", "1"}} }, "raw parameter 2 has a name that does not match ^[a-z][a-z0-9._]*$"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := phone(t, f, "bare")
			tc.change(&p)
			out, err := c.Render(f, file(t, f, tc.path), p)
			if err == nil || err.Error() != tc.want {
				t.Errorf("Render says %v\nwant %s\nand gives %q", err, tc.want, out)
			}
		})
	}
}

func TestRenderUnknownTemplate(t *testing.T) {
	c, f := acme(t)
	want := `acme has no template "x.tmpl" for format "ini"`
	if _, err := c.Render(f, File{Template: "x.tmpl", Format: "ini"}, Phone{}); err == nil || err.Error() != want {
		t.Errorf("Render says %v, want %s", err, want)
	}
}

// TestScopeModel: even a template that slipped through would not get at the device.
func TestScopeModel(t *testing.T) {
	p := Phone{Common: Common{Maker: "acme"}, MAC: testMAC, AdminPassword: NewSecret("hush")}
	if got := fmt.Sprintf("%#v", dataFor(File{Scope: scopeModel}, p)); strings.Contains(got, testMAC) {
		t.Errorf("scope model sees %s", got)
	}
}

func TestSecretPrintsNothing(t *testing.T) {
	s := NewSecret("hush")
	phone := Phone{AdminPassword: s, UserPassword: s, Provision: Credentials{Password: s}, Accounts: []Account{{Password: s}}}
	for name, v := range map[string]any{
		"alone": s, "in a struct": struct{ S Secret }{s}, "not exported": struct{ s Secret }{s}, "behind a pointer": &struct{ s *Secret }{&s},
		"in a list": []Secret{s}, "as a key's value": map[string]Secret{"x": s}, "in a phone": phone, "in a fixture": Fixture{"x", phone},
	} {
		for _, format := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%t"} {
			if got := fmt.Sprintf(format, v); strings.Contains(got, "hush") || strings.Contains(strings.ToLower(got), "68757368") {
				t.Errorf("%s: %s prints %s", name, format, got)
			}
		}
	}
	if b, err := json.Marshal(phone); err != nil || strings.Contains(string(b), "hush") {
		t.Errorf("JSON %s, %v", b, err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "phone", phone)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "phone", phone)
	if strings.Contains(log.String(), "hush") {
		t.Errorf("log %s", log.String())
	}
}

// accepted says whether any escaper may take s: valid UTF-8 without control characters.
func accepted(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl) }

func FuzzEscapeINI(f *testing.F) {
	for _, seed := range []string{"Erika", " a ", "x\ny = 1", "a=b#c;d", "\x00", "\xff", "\u2028", "%NULL%"} {
		f.Add(seed)
	}
	show := printer(formatINI, false)
	f.Fuzz(func(t *testing.T, value string) {
		out, err := show(NewSecret(value))
		if (err == nil) != accepted(value) {
			t.Fatalf("%q: %v", value, err)
		}
		if err != nil {
			return
		}
		text := "before = 1\nname = " + out + "\nafter = 1\n"
		lines := strings.FieldsFunc(text, func(r rune) bool {
			return r == '\n' || r == '\r' || r == '\v' || r == '\f' || r == '\u0085' || r == '\u2028' || r == '\u2029'
		})
		if len(lines) != 3 {
			t.Fatalf("%q makes %d lines", value, len(lines))
		}
		if _, got, _ := strings.Cut(lines[1], " = "); strings.Trim(got, " ") != strings.Trim(value, " ") {
			t.Errorf("%q comes back as %q", value, got)
		}
	})
}

func FuzzEscapeXML(f *testing.F) {
	for _, seed := range []string{"Erika", `<a b="c">&'`, "]]>", "-->", "&amp;", "\x00", "\ufffe", "\xff"} {
		f.Add(seed)
	}
	show := printer(formatXML, false)
	f.Fuzz(func(t *testing.T, value string) {
		out, err := show(value)
		if (err == nil) != (accepted(value) && !strings.ContainsAny(value, "\ufffe\uffff")) {
			t.Fatalf("%q: %v", value, err)
		}
		if err != nil {
			return
		}
		var got struct {
			Double string `xml:"double,attr"`
			Single string `xml:"single,attr"`
			Text   string `xml:",chardata"`
		}
		if err := xml.Unmarshal(fmt.Appendf(nil, `<v double="%s" single='%s'>%s</v>`, out, out, out), &got); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		if got.Double != value || got.Single != value || got.Text != value {
			t.Errorf("%q comes back as %+v", value, got)
		}
	})
}

func FuzzEscapeJSON(f *testing.F) {
	f.Add(`a"\b</script>`)
	f.Add("\x00")
	show := printer(formatJSON, false)
	f.Fuzz(func(t *testing.T, value string) {
		out, err := show(value)
		if (err == nil) != accepted(value) {
			t.Fatalf("%q: %v", value, err)
		}
		var got string
		if err != nil {
			return
		}
		if err := json.Unmarshal([]byte(`"`+out+`"`), &got); err != nil || got != value {
			t.Errorf("%q comes back as %q, %v", value, got, err)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	c, f := acme(b)
	p := Fixtures(f, f.Models[0])[1].Phone
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Render(f, f.Files[1], p); err != nil {
			b.Fatal(err)
		}
	}
}
