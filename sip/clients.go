package sip

import "offhook/sip/wire"

type clients struct{}

func (c *clients) receive(*wire.Message, *inbound) {}
