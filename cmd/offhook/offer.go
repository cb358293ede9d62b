package main

import (
	"sync"

	"offhook/provisioning/family"
	"offhook/sip"
)

// maxAgents bounds the memory of user agents: a stranger can make up as many as he likes.
const maxAgents = 4096

// offers says which digest challenges a user agent gets, as its family's manifest has it. What was found out is kept, because
// every REGISTER without credentials asks.
type offers struct {
	catalog *family.Live

	mu    sync.RWMutex
	of    *family.Catalog // that known was read from
	known map[string]sip.Offer
}

// offer answers for one user agent. Phones of a family that says nothing are offered MD5 alone: the older ones fail on what
// they do not know, and nobody is there to see it.
func (o *offers) offer(agent []byte) sip.Offer {
	catalog := o.catalog.Catalog()
	o.mu.RLock()
	got, ok := o.known[string(agent)]
	ok = ok && o.of == catalog
	o.mu.RUnlock()
	if ok {
		return got
	}
	got = find(catalog, string(agent))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != catalog {
		o.of, o.known = catalog, map[string]sip.Offer{}
	}
	if len(o.known) < maxAgents {
		o.known[string(agent)] = got
	}
	return got
}

func find(catalog *family.Catalog, agent string) sip.Offer {
	if agent == "" {
		return sip.OfferUnknown
	}
	id := catalog.Identify(family.Evidence{Proto: "sip", Agent: agent})
	f, ok := catalog.Family(id.Maker.Value)
	switch {
	case !ok:
		return sip.OfferUnknown
	case f.Digest == "sha-256":
		return sip.OfferBest
	}
	return sip.OfferMD5
}
