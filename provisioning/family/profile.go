package family

import (
	"regexp"
	"strings"
)

// profileMAC finds the MAC in the user part of the Request-URI. RFC 6080 section 5.1.4 wants it written MAC%3a0123...;
// phones leave the colon out or write it plainly.
var profileMAC = regexp.MustCompile(`(?i)^sips?:MAC(?:%3a|[:=])?([0-9a-f]{12})@`)

// profile reads a SUBSCRIBE with which a phone looks for the server that has its profile: the parameters of its Event
// header say who it is (RFC 6080 section 6.2). Only models of the catalogue are claimed: "OEM" and "VOIP PHONE" are among
// the names that phones give.
func (c *Catalog) profile(e Evidence) []sighting {
	name, rest, _ := strings.Cut(clip(e.Event), ";")
	if !strings.EqualFold(strings.TrimSpace(name), "ua-profile") {
		return nil
	}
	said := eventParams(rest)
	vendor := said["vendor"]
	if vendor == "" {
		vendor = said["vender"] // one maker's phones spell it so
	}
	for _, f := range c.families {
		if !strings.EqualFold(vendor, f.ID) && !strings.EqualFold(vendor, f.Name) {
			continue
		}
		s := sighting{fam: f, source: "sip_event", confidence: Declared, mac: macOfProfile(e.URI), version: said["version"]}
		model := said["model"]
		if m, ok := f.model(model); ok {
			s.model = m.ID
		} else if len(model) > len(vendor) && strings.EqualFold(model[:len(vendor)], vendor) {
			if m, ok := f.model(model[len(vendor):]); ok { // the maker's name stands before the model once more
				s.model = m.ID
			}
		}
		return []sighting{s}
	}
	return nil
}

func macOfProfile(uri string) string {
	if m := profileMAC.FindStringSubmatch(clip(uri)); m != nil {
		return parseMAC(m[1])
	}
	return ""
}

// eventParams reads name=value and name="value"; names in lower case, the first of two with one name.
func eventParams(text string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := out[name]; !twice {
			out[name] = strings.TrimSpace(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return out
}
