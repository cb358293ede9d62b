package provisioning

import (
	"testing"

	"offhook/provisioning/family"
	"offhook/provisioning/fleet"
)

// TestRepeatsIsNoNews: whatever a nameplate is said to repeat is neither doubted nor learnt when the record is looked at.
func TestRepeatsIsNoNews(t *testing.T) {
	c, repeated, other := families(t), 0, 0
	claims := func(values ...string) (out []family.Claim) {
		for _, v := range values {
			out = append(out, family.Claim{Value: v, Source: "sip_user_agent", Confidence: family.Learnable})
		}
		return out
	}
	for _, maker := range claims("", "acme", "bolt") {
		for _, model := range claims("", "A100", "a-100", "A200") {
			for _, firmware := range claims("", "1.2.3") {
				for _, claimed := range claims("", mac, "02ac3e00ffff") {
					id := family.Identity{Maker: maker, Model: model, Firmware: firmware, MAC: claimed}
					for _, d := range plates() {
						got, doubt := believe(c, id, "", d)
						if !repeats(id, d.Plate()) {
							other++
							continue
						}
						repeated++
						if doubt != "" || news(c, d, got) {
							t.Errorf("%+v is passed over for %+v: doubt %q, facts %+v", id, d.Plate(), doubt, got)
						}
					}
				}
			}
		}
	}
	if repeated == 0 || other == 0 {
		t.Errorf("%d repeat and %d do not: one half is not tested", repeated, other)
	}
}

// plates are devices as an admin, a fetch or a registration may have left them.
func plates() (out []fleet.Device) {
	for _, maker := range []string{"", "acme"} {
		for _, model := range []string{"", "A100", "A200"} {
			for _, seen := range []string{"", "A100"} {
				for _, firmware := range []string{"", "1.2.3", "1.2.4"} {
					for _, address := range []fleet.MAC{"", mac} {
						out = append(out, fleet.Device{MAC: address, Maker: maker, Model: model, ModelSource: "manual", ModelSeen: seen, Firmware: firmware})
					}
				}
			}
		}
	}
	return out
}

// TestWhatIsKnownCostsNothing: a registration that repeats what the record says allocates nothing.
func TestWhatIsKnownCostsNothing(t *testing.T) {
	r := newRig(t)
	r.registers(r.id, "Acme A100 1.2.3")
	r.flush()
	d := r.device()
	said := fleet.Registration{DeviceID: r.id, LineID: r.line.ID, UserAgent: "Acme A100 1.2.3"}
	if n := testing.AllocsPerRun(100, func() { r.s.LearnSIP(said, d.Plate()) }); n > 0 || d.Model != "A100" {
		t.Errorf("%v allocations for a device of model %q, want none for A100", n, d.Model)
	}
}
