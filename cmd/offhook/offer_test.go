package main

import (
	"testing"

	"offhook/provisioning/family"
	"offhook/sip"
)

// TestOffersFollowTheFamily holds the challenges against what the manifests say of a user agent.
func TestOffersFollowTheFamily(t *testing.T) {
	catalog, err := loadCatalog("")
	if err != nil {
		t.Fatal(err)
	}
	o := &offers{catalog: family.NewLive(catalog)}
	for range 2 { // found out, then remembered
		for agent, want := range map[string]sip.Offer{
			"":                                    sip.OfferUnknown,
			"made up/1.0":                         sip.OfferUnknown,
			"Yealink SIP-T46S 66.85.0.5":          sip.OfferMD5,
			"baresip v1.0.0 (x86_64/linux)":       sip.OfferMD5,
			"Linphonec/5.1.65 (belle-sip/5.1.65)": sip.OfferBest,
		} {
			if got := o.offer([]byte(agent)); got != want {
				t.Errorf("%q is offered %d, want %d", agent, got, want)
			}
		}
	}
}
