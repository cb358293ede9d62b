package family

import (
	"regexp/syntax"
	"strings"
	"unicode"
)

// Fixture is a made-up phone that templates are tried on.
type Fixture struct {
	Case  string
	Phone Phone
}

// hostileCase is the fixture whose texts try to break out of the file; Check compares it with a tame twin.
const hostileCase = "hostile"

// Fixtures are the phones that every template of f is rendered for, by Load, by Check and for the golden files. They
// are the same on every run. Together they set every field of the vocabulary, each kind of key, and each flag to
// both of its values; each phone has no more accounts and keys than m can take.
func Fixtures(f *Family, m Model) []Fixture {
	return []Fixture{
		{"bare", bare(f, m)},
		{"two-lines", twoLines(f, m)},
		{"keys-blf-park", keysBLFPark(f, m)},
		{"tls-srtp", tlsSRTP(f, m)},
		{"dst-timezone", dstTimezone(f, m)},
		{hostileCase, hostile(f, m, nasty, nasty)},
	}
}

// trials are the fixtures and two phones that are too dull for golden files: one that has no line yet, and one in a zone
// whose name has to stand in < > in a POSIX string.
func trials(f *Family, m Model) []Fixture {
	unused, quoted := bare(f, m), bare(f, m)
	unused.Accounts = nil
	quoted.Time = zoneKathmandu
	return append(Fixtures(f, m), Fixture{"no-lines", unused}, Fixture{"quoted-zone", quoted})
}

// Time zones as ZoneOf gives them; written out so that fixtures do not change with the tz database.
var (
	zoneBerlin = Zone{Name: "Europe/Berlin", Offset: 3600, POSIX: "CET-1CEST,M3.5.0,M10.5.0/3", DST: true, Save: 3600,
		Start: Change{Month: 3, Week: 5, Hour: 2}, End: Change{Month: 10, Week: 5, Hour: 3}}
	zoneNewYork = Zone{Name: "America/New_York", Offset: -18000, POSIX: "EST5EDT,M3.2.0,M11.1.0", DST: true, Save: 3600,
		Start: Change{Month: 3, Week: 2, Hour: 2}, End: Change{Month: 11, Week: 1, Hour: 2}}
	zoneKolkata   = Zone{Name: "Asia/Kolkata", Offset: 19800, POSIX: "IST-5:30"}
	zoneKathmandu = Zone{Name: "Asia/Kathmandu", Offset: 20700, POSIX: "<+0545>-5:45"}
	zoneSantiago  = Zone{Name: "America/Santiago", Offset: -14400, POSIX: "<-04>4<-03>,M9.1.6/24,M4.1.6/24", DST: true, Save: 3600,
		Start: Change{Month: 9, Week: 1}, End: Change{Month: 4, Week: 1}}
	zoneSydney = Zone{Name: "Australia/Sydney", Offset: 36000, POSIX: "AEST-10AEDT,M10.1.0,M4.1.0/3", DST: true, Save: 3600,
		Start: Change{Month: 10, Week: 1, Hour: 2}, End: Change{Month: 4, Week: 1, Hour: 3}}
)

func bare(f *Family, m Model) Phone {
	prefix := "020000"
	if len(f.OUI) > 0 {
		prefix = f.OUI[0]
	}
	return Phone{
		Common:   Common{Maker: f.ID, Model: m, BaseURL: "http://prov.example.test/"},
		MAC:      (prefix + "a1b2c3")[:12],
		Name:     "Reception",
		Accounts: accounts(m, account(1, "101", "Erika Mustermann")),

		Directory: Book{Name: "example.test"},
	}
}

func account(index int, number, name string) Account {
	return Account{
		Index: index, Label: number, DisplayName: name, User: number, Domain: "example.test",
		AuthUser: "auth-" + number, Password: NewSecret("Fixture-Pass-" + number),
		Server: Endpoint{Host: "sip.example.test", Port: 5060, Transport: "udp"}, Expires: 3600, SRTP: "off",
	}
}

// accounts keeps as many as the model has.
func accounts(m Model, all ...Account) []Account {
	if m.Accounts > 0 && len(all) > m.Accounts {
		all = all[:m.Accounts]
	}
	return all
}

// keys numbers keys after the lines, as many as fit on the model; nobody knows how many fit on an unknown one. On
// modules, the first and the last key get the first of them once more.
func keys(m Model, lines int, all ...Key) []Key {
	fit := len(all)
	if m.ID != "" {
		fit = min(fit, max(m.Keys-lines, 0))
	}
	out := all[:fit:fit]
	for i := range out {
		out[i].Position = lines + 1 + i
	}
	if m.Expansion > 0 {
		first, last := all[0], all[0]
		first.Position, last.Position = m.Keys+1, m.Keys+m.Expansion
		out = append(out, first, last)
	}
	return out
}

func twoLines(f *Family, m Model) Phone {
	p := bare(f, m)
	second := account(2, "102", "Werkstatt")
	second.Server = Endpoint{Host: "192.0.2.10", Transport: "tcp"}
	second.OutboundProxy = Endpoint{Host: "edge.example.test", Port: 5070, Transport: "tcp"}
	second.SRTP, second.Voicemail, second.Keepalive, second.Shared = "optional", "*97", 25, true
	second.DialMap = DialPlan{Rules: []DialRule{{Prefix: "1", Min: 3, Max: 3}, {Min: 4, Max: 12, Timeout: 3}}}
	p.Accounts = accounts(m, account(1, "101", "Erika Mustermann"), second)
	p.Clock24, p.LLDP = ptr(false), ptr(false)
	p.Language, p.ToneCountry, p.Time = "en", "IN", zoneKolkata
	p.NTPServers = []string{"ntp.example.test"}
	p.Codecs = []string{"pcmu"}
	return p
}

func keysBLFPark(f *Family, m Model) Phone {
	p := bare(f, m)
	p.Time = zoneNewYork
	p.Keys = keys(m, len(p.Accounts),
		Key{Type: "blf", Label: "Anna", Value: "111", Line: 1, Pickup: "**"},
		Key{Type: "park", Label: "Park 1", Value: "5901", Line: 1},
		Key{Type: "speed_dial", Label: "Taxi", Value: "0305555", Line: 1},
		Key{Type: "line", Label: "101", Line: 1},
		Key{Type: "blf", Label: "Bernd", Value: "112"},
		Key{Type: "intercom", Label: "Gate", Value: "190", Line: 1},
		Key{Type: "voicemail", Label: "Messages", Value: "*97", Line: 1},
		Key{Type: "dtmf", Label: "Open", Value: "9#"},
		Key{Type: "url", Label: "Light", Value: "http://light.example.test/on?room=1&level=2"},
		Key{Type: "dnd", Label: "Quiet"},
		Key{Type: "forward", Label: "Divert", Value: "0170555"},
		Key{Type: "transfer", Label: "To Anna", Value: "111", Line: 1},
		Key{Type: "pickup", Label: "Pick up", Value: "*8", Line: 1},
		Key{Type: "none"},
	)
	return p
}

func tlsSRTP(f *Family, m Model) Phone {
	p := bare(f, m)
	p.BaseURL = "https://prov.example.test/t/2h7f9q/"
	p.FirmwareURL = "https://prov.example.test/firmware/image.bin"
	p.CAURL = "https://prov.example.test/ca.pem"
	p.ResyncEvery = 1440
	p.Provision = Credentials{User: "dev-a1b2c3", Password: NewSecret("Fixture-Prov-Pass")}
	p.AdminPassword, p.UserPassword = NewSecret("Fixture-Admin-Pass"), NewSecret("Fixture-User-Pass")
	a := account(1, "101", "Erika Mustermann")
	a.Server = Endpoint{Host: "sips.example.test", Port: 5061, Transport: "tls"}
	a.OutboundProxy = Endpoint{Host: "edge.example.test", Transport: "tls"}
	a.SRTP = "required"
	p.Accounts = accounts(m, a)
	p.Codecs = []string{"opus", "g722", "pcma", "pcmu", "g729", "ilbc"}
	p.Syslog = Endpoint{Host: "log.example.test", Port: 6514, Transport: "tcp"}
	return p
}

func dstTimezone(f *Family, m Model) Phone {
	p := bare(f, m)
	p.NTPServers = []string{"ntp1.example.test", "ntp2.example.test"}
	p.Time, p.Clock24, p.Language, p.ToneCountry = zoneBerlin, ptr(true), "de", "DE"
	p.VLAN = VLAN{ID: 20, Priority: 5, PCID: 30, PCPriority: 1}
	p.LLDP = ptr(true)
	p.QoS = QoS{SIP: ptr(26), Audio: ptr(46)}
	p.Syslog = Endpoint{Host: "192.0.2.50"}
	p.DialMap = DialPlan{Rules: []DialRule{{Prefix: "0", Min: 4, Max: 16, Timeout: 4}, {Min: 3, Max: 3}, {Prefix: "*", Min: 2, Max: 4, Timeout: 2}}}
	p.Phonebooks = []Phonebook{{Name: "Company", URL: "http://prov.example.test/book.xml?a=1&b=2"}, {Name: "Private", URL: "http://prov.example.test/own.xml"}}
	p.Codecs = []string{"pcma", "g722"}
	p.Directory.Contacts = []Contact{{Name: "Bär, Anna", First: "Anna", Last: "Bär", Number: "0111", Department: "Sales"}, {Name: "Front door", First: "Front door", Number: "190"}}
	p.Directory.Next = "http://prov.example.test/book.xml?a=1&page=2"
	return p
}

// nasty is what people and attackers type as a name: the characters that mean something in any of the formats,
// right-to-left and accented letters, as long as a name may be.
func nasty(plain string) string {
	return cut(plain+` "<&>' ;#=[x] {{.}} %NULL% --> שלום Zoë €`, 64)
}

// cut shortens s to n characters, without a blank at the end.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		s = string(r[:n])
	}
	return strings.TrimSpace(s)
}

// hostile sets every text that a person types to dirty(text), and every secret to hush(text).
func hostile(f *Family, m Model, dirty, hush func(string) string) Phone {
	p := bare(f, m)
	p.Name = dirty("Lobby")
	p.AdminPassword, p.UserPassword = NewSecret(hush("adm")), NewSecret(hush("usr"))
	p.Provision = Credentials{User: dirty("prov"), Password: NewSecret(hush("prv"))}
	p.Time, p.Language, p.ToneCountry = zoneSydney, "pt-BR", "BR"
	a := account(1, "101", dirty("Erika"))
	a.Label, a.Password, a.Voicemail = dirty("#101"), NewSecret(hush("pw")), "*97"
	p.Accounts = accounts(m, a)
	p.Keys = keys(m, len(p.Accounts),
		Key{Type: "blf", Label: dirty("Key"), Value: dirty("111"), Line: 1, Pickup: dirty("**")},
		Key{Type: "speed_dial", Label: dirty("[ account ]"), Value: dirty("0")},
		Key{Type: "url", Label: dirty("u"), Value: dirty("http://x.example.test/")},
	)
	p.Phonebooks = []Phonebook{{Name: dirty("Book"), URL: dirty("http://b.example.test/")}}
	p.Directory.Name = dirty("Company")
	p.Directory.Contacts = []Contact{{Name: dirty("Zoë"), First: dirty("Zoë"), Last: dirty("Ng"), Number: "112", Department: dirty("R&D")}}
	if name := exampleName(f.ExtraName); f.extra != nil && f.extra.MatchString(name) {
		p.Extra = []Param{{Name: name, Value: dirty("1")}}
	}
	return p
}

func ptr[T any](v T) *T { return &v }

// exampleName makes a short string that an expression matches, so that raw parameters can be tried on a family
// without a made-up name in its manifest.
func exampleName(expr string) string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	return sample(re.Simplify())
}

func sample(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(readable(re.Rune))
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(sample(sub))
		}
		return b.String()
	case syntax.OpCapture, syntax.OpPlus, syntax.OpAlternate:
		return sample(re.Sub[0])
	}
	return ""
}

// readable picks a letter or digit of a class (pairs of first and last rune), or its first rune.
func readable(class []rune) rune {
	for i := 0; i+1 < len(class); i += 2 {
		for r := class[i]; r <= min(class[i+1], 'z'); r++ {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
		}
	}
	return class[0]
}
