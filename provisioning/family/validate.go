package family

import (
	"fmt"
	"maps"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// validator collects every mistake of one manifest and compiles what is right.
type validator struct {
	*Family
	dir      *folder
	at       *positions
	problems []problem
}

// fault records a mistake at the value that path names.
func (v *validator) fault(path, format string, args ...any) {
	pos := v.at.at(path)
	v.problems = append(v.problems, problem{file: v.dir.manifest.path, line: pos.Line, col: pos.Column, text: fmt.Sprintf(format, args...)})
}

var (
	idForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	ouiForm   = regexp.MustCompile(`^[0-9a-f]{6,9}$`)
	codeForm  = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	tokenForm = regexp.MustCompile("^[A-Za-z0-9.!%*_+`'~-]+(;[A-Za-z0-9.!%*_+`'~-]+(=[A-Za-z0-9.!%*_+`'~-]+)?)*$") // RFC 3261 25.1
)

var kindsOfDevice = []string{"desk", "conference", "dect", "ata", "paging", "door", "softphone", "wifi", "video"}

func (v *validator) manifest() {
	v.head()
	v.modelRows()
	v.identifyRows()
	for i := range v.Files {
		v.fileRow(i)
	}
	for i := range v.Uploads {
		v.uploadRow(i)
	}
	for i := range v.Examples {
		v.exampleRow(i)
	}
	v.tableRows()
}

func (v *validator) head() {
	if v.ID != v.dir.id {
		v.fault("id", "id is %q, but the folder is %q: write the folder's name", v.ID, v.dir.id)
	}
	if !idForm.MatchString(v.dir.id) {
		v.fault("id", "the folder's name %q is no id: use lower-case letters, digits and hyphens", v.dir.id)
	}
	if v.Name == "" {
		v.fault("name", "name is missing: write the maker's name as it is printed on the phone")
	}
	v.address("guide", v.Guide)
	for i, oui := range v.OUI {
		if !ouiForm.MatchString(oui) {
			v.fault(index("oui", i), "oui %q is no MAC prefix: write 6 to 9 lower-case hex digits without separators", oui)
		} else if parseMAC(oui+"000001"[:12-len(oui)]) == "" && hexValue(oui[1])&1 == 1 {
			v.fault(index("oui", i), "oui %q has the group bit set: no device has such an address", oui)
		}
		if slices.Index(v.OUI, oui) < i {
			v.fault(index("oui", i), "oui %q stands twice: remove one", oui)
		}
	}
	v.event("resync.event", v.Resync.Event)
	v.event("reboot.event", v.Reboot.Event)
	v.word("firmware", v.Firmware, "file", "folder")
	if v.Digest != "" {
		v.word("digest", v.Digest, "md5", "sha-256")
	}
}

func (v *validator) event(path, event string) {
	if event != "" && !tokenForm.MatchString(event) {
		v.fault(path, "event %q is no Event header: write a token with parameters, like check-sync;reboot=false", event)
	}
}

func (v *validator) address(path, address string) {
	if address == "" {
		return
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		v.fault(path, "guide %q is no web address: write it with https://", address)
	}
}

// extraName compiles the shape of raw parameters' names. Names are written into files as they stand, so the
// expression may not let through what ends a name in any format.
func (v *validator) extraName() {
	if v.ExtraName == "" {
		return
	}
	re, err := regexp.Compile(v.ExtraName)
	if err != nil {
		v.fault("extra_name", "%v: write an RE2 expression", err)
		return
	}
	if !strings.HasPrefix(v.ExtraName, "^") || !strings.HasSuffix(v.ExtraName, "$") {
		v.fault("extra_name", "extra_name is not anchored: write ^...$, or it matches any name that contains it")
		return
	}
	for _, c := range []string{"=", "<", ">", "\"", "\n", "\r", " ", ":", "/", "#", "{"} {
		probes := []string{c, c + "a", "P1" + c}
		if !v.lines() || c != "/" && c != " " {
			probes = append(probes, "a"+c+"a", "a.1"+c+"1.a")
		}
		if slices.ContainsFunc(probes, re.MatchString) {
			v.fault("extra_name", "extra_name lets %q into a name: list the characters that the maker uses, like [A-Za-z0-9._-]", c)
			return
		}
	}
	v.extra = re
}

// lines says whether all files that raw parameters stand in are lines of text, where a name may hold a slash or a blank.
func (v *validator) lines() bool {
	return !slices.ContainsFunc(v.Files, func(f File) bool { return f.raw && (f.Format == formatXML || f.Format == formatJSON) })
}

func (v *validator) modelRows() {
	v.models, v.byCode = map[string]int{}, map[string]string{}
	shared := map[string]bool{}
	for i := range v.Models {
		v.modelRow(i)
		for _, code := range v.Models[i].Codes {
			code = strings.ToLower(code)
			if other, ok := v.byCode[code]; ok && other != v.Models[i].ID {
				shared[code] = true
			}
			v.byCode[code] = v.Models[i].ID
		}
	}
	for code := range shared {
		delete(v.byCode, code) // several models: the code does not say which
	}
}

func (v *validator) modelRow(i int) {
	m, path := &v.Models[i], index("model", i)
	if strings.TrimSpace(m.ID) != m.ID || fold(m.ID) == "" {
		v.fault(path+".id", "id %q is no model name: write it as the maker prints it", m.ID)
		return
	}
	v.modelName(path+".id", m.ID, i)
	for j, alias := range m.Aliases {
		if fold(alias) == fold(m.ID) {
			v.fault(index(path+".aliases", j), "alias %q is the id itself: case, blanks, _ and - never matter, remove it", alias)
			continue
		}
		v.modelName(index(path+".aliases", j), alias, i)
	}
	if !slices.Contains(kindsOfDevice, m.Kind) {
		v.fault(path+".kind", "kind %q is unknown: write one of %s", m.Kind, strings.Join(kindsOfDevice, ", "))
	}
	if m.KeyLineBase != 0 && m.KeyLineBase != 1 {
		v.fault(path+".key_line_base", "key_line_base is %d: the first line is called 0 or 1", m.KeyLineBase)
	}
	v.counts(path, m)
	v.address(path+".guide", m.Guide)
	v.event(path+".resync", m.Resync)
	v.event(path+".reboot", m.Reboot)
	for j, code := range m.Codes {
		if !codeForm.MatchString(code) || slices.Index(m.Codes, code) < j {
			v.fault(index(path+".codes", j), "code %q is empty, stands twice, or holds more than letters, digits and . _ -", code)
		}
	}
	if m.Part != "" && !codeForm.MatchString(m.Part) {
		v.fault(path+".part", "part %q holds more than letters, digits and . _ -", m.Part)
	}
}

func (v *validator) counts(path string, m *Model) {
	for _, n := range []struct {
		name  string
		value int
	}{{"accounts", m.Accounts}, {"keys", m.Keys}, {"line_keys", m.LineKeys}, {"expansion", m.Expansion}} {
		if n.value < 0 || n.value > maxSequence {
			v.fault(path+"."+n.name, "%s is %d: write a number from 0 to %d", n.name, n.value, maxSequence)
		}
	}
	if m.LineKeys > m.Keys {
		v.fault(path+".line_keys", "line_keys is %d, but the model has only %d keys in all", m.LineKeys, m.Keys)
	}
}

// modelName takes a name for row i; two rows cannot share one in any spelling.
func (v *validator) modelName(path, name string, i int) {
	if other, ok := v.models[fold(name)]; ok {
		v.fault(path, "%q is already the name of model %q: every id and alias names one model", name, v.Models[other].ID)
		return
	}
	v.models[fold(name)] = i
}

func (v *validator) fileRow(i int) {
	f, path := &v.Files[i], index("file", i)
	v.filePath(path+".path", *f)
	switch {
	case f.Template == "":
		v.fault(path+".template", "template is missing: name a file below files/")
	case strings.HasPrefix(f.Template, "_"):
		v.fault(path+".template", "template %q is a part for other templates: name one without the underscore", f.Template)
	default:
		if _, ok := v.dir.files[f.Template]; !ok {
			v.fault(path+".template", "there is no files/%s: add it, or correct the name", f.Template)
		}
	}
	v.word(path+".scope", f.Scope, scopeModel, scopeDevice, scopeDomain)
	v.word(path+".format", f.Format, formatINI, formatXML, formatJSON, formatText)
	v.word(path+".eol", f.EOL, "lf", "crlf")
	v.word(path+".charset", f.Charset, charsetUTF8, charsetLatin1)
	if f.Charset == charsetLatin1 && f.Format != formatINI && f.Format != formatText {
		v.fault(path+".charset", "charset is for the formats ini and text: XML and JSON are UTF-8")
	}
	if _, _, err := mime.ParseMediaType(f.ContentType); err != nil && f.ContentType != "" {
		v.fault(path+".content_type", "content_type %q is none: write type/subtype", f.ContentType)
	}
	if f.Scope == scopeModel && strings.Contains(strings.ToLower(f.Path), "{mac") {
		v.fault(path+".scope", "a file of scope \"model\" is the same for every phone, but its path holds a MAC: use scope = 'device'")
	}
	if f.Scope == scopeDomain && !strings.Contains(strings.ToLower(f.Path), "{mac") {
		v.fault(path+".path", "a file of scope \"domain\" is given to phones that are known, but its path names none: put {mac} into it")
	}
	if f.Entries < 0 || f.Entries > 0 && f.Scope != scopeDomain {
		v.fault(path+".entries", "entries is how many contacts a phone takes at once: write a number above 0, in a file of scope \"domain\" alone")
	}
	for j, id := range f.Models {
		v.knownModel(index(path+".models", j), id)
	}
	for j, id := range f.Except {
		v.knownModel(index(path+".except", j), id)
	}
	if len(f.Models) > 0 && len(f.Except) > 0 {
		v.fault(path+".except", "the row has both models and except: keep one")
	}
	if f.Optional && f.Scope != scopeDevice {
		v.fault(path+".optional", "a file of scope %q is the same for many phones, so none can do without it: use scope = 'device', or remove optional", f.Scope)
	}
	for j := range i {
		if old := v.Files[j]; strings.EqualFold(old.Path, f.Path) && v.overlap(old, *f) {
			v.fault(path+".path", "path %q also stands in line %d for the same models: split the models, or remove one", f.Path, v.at.at(index("file", j)).Line)
		}
	}
}

// overlap says whether a phone could ask for both files. One whose model is not known gets what names no models.
func (v *validator) overlap(a, b File) bool {
	return len(a.Models) == 0 && len(b.Models) == 0 || slices.ContainsFunc(v.Models, func(m Model) bool { return a.For(m) && b.For(m) })
}

func (v *validator) word(path, got string, allowed ...string) {
	if !slices.Contains(allowed, got) {
		v.fault(path, "%s %q is unknown: write one of %s", path[strings.LastIndexByte(path, '.')+1:], got, strings.Join(allowed, ", "))
	}
}

func (v *validator) knownModel(path, id string) {
	if _, ok := v.models[fold(id)]; !ok {
		v.fault(path, "model %q has no [[model]] row: add one, or correct the name", id)
	}
}

func (v *validator) filePath(path string, f File) {
	pattern := f.Path
	if pattern == "" || strings.HasPrefix(pattern, "/") || strings.HasSuffix(pattern, "/") || strings.ContainsAny(pattern, `\?#%`) ||
		slices.Contains(strings.Split(pattern, "/"), "..") {
		v.fault(path, "path %q is no file name: write the last elements of the path, without a leading slash or a query", pattern)
	}
	for _, word := range placeholders.FindAllString(pattern, -1) {
		if !knownPlaceholder(word) {
			v.fault(path, "placeholder %s is unknown: there are {mac} {MAC} {mac:} {mac-} {mac_} {model} {code} {part}", word)
		}
	}
	if strings.ContainsAny(placeholders.ReplaceAllString(pattern, ""), "{}") {
		v.fault(path, "path %q has a brace without its partner", pattern)
	}
	v.filled(path, f)
}

// filled checks that at least one model has what the path's placeholders stand for.
func (v *validator) filled(path string, f File) {
	pattern := f.Path
	has := func(value func(Model) bool) bool {
		return slices.ContainsFunc(v.Models, func(m Model) bool { return value(m) && f.For(m) })
	}
	if strings.Contains(pattern, "{code}") && !has(func(m Model) bool { return len(m.Codes) > 0 }) {
		v.fault(path, "path %q needs {code}, but no model that it is for has codes", pattern)
	}
	if strings.Contains(pattern, "{part}") && !has(func(m Model) bool { return m.Part != "" }) {
		v.fault(path, "path %q needs {part}, but no model that it is for has a part", pattern)
	}
}

// maxUpload bounds what a manifest may allow a phone to send.
const maxUpload = 16 << 20

func (v *validator) uploadRow(i int) {
	up, path := v.Uploads[i], index("upload", i)
	v.filePath(path+".path", File{Path: up.Path})
	if !strings.Contains(strings.ToLower(up.Path), "{mac") {
		v.fault(path+".path", "upload %q names no device: put {mac} into it, or one phone overwrites another's file", up.Path)
	}
	v.word(path+".proto", up.Proto, "http", "tftp")
	if up.MaxSize < 1 || up.MaxSize > maxUpload {
		v.fault(path+".max_size", "max_size is %d: write bytes, 1 to %d", up.MaxSize, maxUpload)
	}
}

func (v *validator) exampleRow(i int) {
	ex, path := v.Examples[i], index("example", i)
	v.word(path+".proto", ex.Proto, "http", "tftp", "dhcp", "sip")
	if ex.Agent == "" && ex.Path == "" && ex.VCI == "" {
		v.fault(path, "the example shows nothing: give agent, path or vci")
	}
	if ex.MAC != "" && parseMAC(ex.MAC) != ex.MAC {
		v.fault(path+".mac", "mac %q is no device's MAC: write 12 lower-case hex digits", ex.MAC)
	}
	if ex.File != "" && !slices.ContainsFunc(v.Files, func(f File) bool { return f.Path == ex.File }) {
		v.fault(path+".file", "no [[file]] has the path %q", ex.File)
	}
}

func (v *validator) tableRows() {
	for name, rows := range v.Tables {
		seen := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			if other, ok := seen[strings.ToLower(key)]; ok {
				v.fault("table."+name+"."+key, "keys %q and %q differ only in case: remove one", other, key)
			}
			seen[strings.ToLower(key)] = key
		}
	}
}

// index writes the path of an array's element as positions spells it.
func index(array string, i int) string { return fmt.Sprintf("%s[%d]", array, i) }
