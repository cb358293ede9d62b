package family

import (
	"regexp"
	"slices"
	"strings"
)

var groupNames = []string{"model", "version", "mac", "serial"}

// strangers are requests of no phone. An expression that matches one of them matches everybody.
var strangers = map[int][]string{
	byCert:  {"", "CN=example"},
	byAgent: {"", "curl/8.4.0", "Mozilla/5.0 (X11; Linux x86_64)"},
	bySIP:   {"", "PJSUA v2.13", "Asterisk PBX 20.1.0"},
	byPath:  {"", "/", "/index.html"},
	byVCI:   {"", "MSFT 5.0", "dhcpcd"},
}

func (v *validator) identifyRows() {
	for i := range v.Identify {
		v.identifyRow(&v.Identify[i], index("identify", i))
	}
}

func (v *validator) identifyRow(row *Identify, path string) {
	kind, key, expr := -1, "", ""
	for _, e := range []struct {
		kind      int
		key, expr string
	}{{byAgent, "agent", row.Agent}, {byPath, "path", row.Path}, {byVCI, "vci", row.VCI}, {bySIP, "sip", row.SIP}, {byCert, "cert", row.Cert}} {
		if e.expr == "" {
			continue
		}
		if key != "" {
			v.fault(path+"."+e.key, "the row has both %s and %s: write one row for each", key, e.key)
			return
		}
		kind, key, expr = e.kind, e.key, e.expr
	}
	if key == "" {
		v.fault(path, "the row has no evidence: give one of agent, path, vci, sip, cert")
		return
	}
	r, err := newRule(row, expr)
	if err != nil {
		v.fault(path+"."+key, "%v: write an RE2 expression", err)
		return
	}
	v.expression(path+"."+key, kind, r.re)
	v.options(path, row, r)
	v.rules[kind] = append(v.rules[kind], r)
}

func (v *validator) expression(path string, kind int, re *regexp.Regexp) {
	for _, stranger := range strangers[kind] {
		if re.MatchString(stranger) {
			v.fault(path, "the expression matches %q, which no phone sends: anchor it with ^, or say more", stranger)
			break
		}
	}
	if kind == byPath && !strings.Contains(re.String(), "/") {
		v.fault(path, "the expression has no slash: begin it with / so that it cannot match the middle of a name")
	}
	for i, name := range re.SubexpNames() {
		switch {
		case name != "" && !slices.Contains(groupNames, name):
			v.fault(path, "group %q is unknown: there are %s", name, strings.Join(groupNames, ", "))
		case name != "" && re.SubexpIndex(name) != i:
			v.fault(path, "group %q stands twice: one alternative would never be read", name)
		}
	}
}

// options checks that the flags of a row fit one another and its expression.
func (v *validator) options(path string, row *Identify, r rule) {
	if row.Model != "" {
		v.knownModel(path+".model", row.Model)
		if r.model >= 0 {
			v.fault(path+".model", "the row has a fixed model and a group for it: keep one")
		}
	}
	if row.Common && (row.Model != "" || r.model >= 0) {
		v.fault(path+".common", "common says that the model is not known, but the row names one: keep one")
	}
	if row.Code && r.model < 0 {
		v.fault(path+".code", "code looks the model group up, but the expression has none")
	}
	if len(row.Strip) > 0 && r.model < 0 {
		v.fault(path+".strip", "strip shortens the model group, but the expression has none")
	}
	if row.Dots && r.version < 0 {
		v.fault(path+".dots", "dots is about the version, but the expression has no group for it")
	}
	if row.NoVersion && r.version >= 0 {
		v.fault(path+".no_version", "no_version drops the version, but the expression has a group for it: keep one")
	}
}
