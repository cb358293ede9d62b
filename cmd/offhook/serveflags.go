package main

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"

	"offhook/provisioning/fleet/redisjournal"
)

// Validate says what is wrong before anything is bound or written, naming the flag; what was given is not repeated, because
// some of it is secret.
func (c *serveCmd) Validate() error {
	for _, f := range []struct {
		name, value string
		check       func(string) error
	}{
		{"redis", c.Redis, redisjournal.CheckURL},
		{"node", c.Node, checkNode},
		{"admin-key", c.AdminKey, checkAdminKey},
		{"public-url", c.PublicURL, checkPublicURL},
		{"mail-from", c.MailFrom, checkMailFrom},
	} {
		if f.value == "" {
			continue
		}
		if err := f.check(f.value); err != nil {
			return fmt.Errorf("--%s: %w", f.name, err)
		}
	}
	return c.validateSMTP()
}

// validateSMTP holds what the mail flags must be together.
func (c *serveCmd) validateSMTP() error {
	switch {
	case c.SMTPPort < 0 || c.SMTPPort > 65535:
		return errors.New("--smtp-port: want a port from 1 to 65535")
	case c.SMTPHost != "" && c.MailFrom == "":
		return errors.New("--mail-from: --smtp-host needs a sender, as \"Telephone <pbx@example.com>\"")
	case c.SMTPHost != "" && c.SMTPUser != "" && c.SMTPTLS == "off" && !thisMachine(c.SMTPHost):
		return errors.New("--smtp-tls: with --smtp-user and a mail server on another machine want starttls or tls: no password is sent in clear")
	}
	return nil
}

func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// nodeForm is what --node takes: it stands in logs, in the API and in names of keys.
var nodeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkNode(name string) error {
	if !nodeForm.MatchString(name) {
		return errors.New("want up to 64 letters, digits, dots, dashes and underscores, a letter or digit first, as pbx1")
	}
	return nil
}

// minAdminKey bounds the admin key from below: it opens everything, and the API is often reached from more than one machine.
const minAdminKey = 16

func checkAdminKey(key string) error {
	if len(key) < minAdminKey {
		return fmt.Errorf("want %d characters or more; without one, a good key is made at the first start", minAdminKey)
	}
	return nil
}

// checkPublicURL wants an address that "/#invitation=CODE" can be put behind.
func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("want an address with http or https and without ? and #, as https://phones.example.com/")
	}
	return nil
}

func checkMailFrom(text string) error {
	if _, err := mail.ParseAddress(text); err != nil {
		return errors.New("want one mail address, as \"Telephone <pbx@example.com>\"")
	}
	return nil
}
