package sip

import (
	"time"

	"offhook/sip/location"
)

type watchers struct{}

func newWatchers() *watchers { return &watchers{} }

func (ws *watchers) expire(time.Time) {}

func (s *Server) notifyWatchers(location.Change) {}

func (w *worker) subscribe(in *inbound) []byte { return w.reply(in, 489, "Bad Event") }
