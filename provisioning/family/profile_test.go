package family

import "testing"

// TestIdentifyProfile reads what phones multicast when they look for a server. The forms are those that makers' phones
// were seen to send.
func TestIdentifyProfile(t *testing.T) {
	c := ourMakers(t)
	tests := map[string]struct {
		uri, event                 string
		maker, model, version, mac string
	}{
		"the maker's name before the model":         {"sip:MAC%3a0004132E08B4@224.0.1.75", `ua-profile;profile-type="device";vendor="snom";model="snom370";version="8.7.5.48"`, "snom", "370", "8.7.5.48", "0004132e08b4"},
		"another order, no quotes":                  {"sip:MAC%3AC074AD112233@224.0.1.75:5060", `ua-profile; version=1.0.5.67; model=GRP2612W; vendor=Grandstream; profile-type=device`, "grandstream", "GRP2612W", "1.0.5.67", "c074ad112233"},
		"no colon":                                  {"sip:MAC001565112233@224.0.1.75", `ua-profile;profile-type="device";vendor="Yealink";model="T21P";version="34.72.14.6"`, "yealink", "T21P", "34.72.14.6", "001565112233"},
		"vender":                                    {"sip:MAC%3a080023112233@224.0.1.75", `ua-profile;profile-type="device";vender="Panasonic";model="KX-HDV230";version="01.000"`, "panasonic", "KX-HDV230", "01.000", "080023112233"},
		"a model that says nothing":                 {"sip:MAC0c383e112233@224.0.1.75", `ua-profile;vendor="Fanvil";model="VOIP PHONE"`, "fanvil", "", "", "0c383e112233"},
		"a brand that is not known, an OUI that is": {"sip:MAC%3a000413112233@224.0.1.75", `ua-profile;vendor="OEM";model="OEM"`, "snom", "", "", "000413112233"},
		"a maker named twice":                       {"sip:MAC000413112233@224.0.1.75", `ua-profile;vendor="snom";vendor="Yealink";model="snom"`, "snom", "", "", "000413112233"},
		"another event":                             {"sip:101@example.test", `presence;vendor="snom";model="snom370"`, "", "", "", ""},
		"no MAC in it":                              {"sip:00000001@224.0.1.75", `ua-profile;profile-type="application"`, "", "", "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			id := c.Identify(Evidence{Proto: "sip", URI: tc.uri, Event: tc.event})
			got := [4]string{id.Maker.Value, id.Model.Value, id.Firmware.Value, id.MAC.Value}
			if want := [4]string{tc.maker, tc.model, tc.version, tc.mac}; got != want {
				t.Errorf("%s claims %q, want %q", tc.event, got, want)
			}
		})
	}
}
