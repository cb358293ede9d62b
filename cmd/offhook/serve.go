package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// serveCmd is `offhook serve`.
type serveCmd struct {
	Data      string `help:"Directory for everything that is kept." default:"./data" placeholder:"DIR"`
	Redis     string `help:"Keep records in this Redis instead, for several nodes: redis://host:6379/0." placeholder:"URL"`
	Node      string `help:"This node's name among several on one Redis: letters, digits, dots, dashes, underscores; default: drawn at the first start." placeholder:"NAME"`
	Domain    string `help:"Name of the first domain, made at the first start." default:"example.test" placeholder:"NAME"`
	Advertise string `help:"Host name or address that phones reach this server at; default: this machine's first address." placeholder:"HOST"`

	HTTP      string `name:"http" help:"Configuration files over HTTP; off switches a listener off." default:":8080" placeholder:"ADDR"`
	HTTPS     string `name:"https" help:"Configuration files over HTTPS." default:"off" placeholder:"ADDR"`
	TFTP      string `name:"tftp" help:"Configuration files over TFTP." default:":6969" placeholder:"ADDR"`
	SIP       string `name:"sip" help:"Registrar, UDP and TCP." default:":5060" placeholder:"ADDR"`
	SIPS      string `name:"sips" help:"Registrar over TLS." default:"off" placeholder:"ADDR"`
	WS        string `name:"ws" help:"Registrar over WebSocket." default:"off" placeholder:"ADDR"`
	WSS       string `name:"wss" help:"Registrar over secure WebSocket." default:"off" placeholder:"ADDR"`
	TLSCert   string `name:"tls-cert" help:"Certificate chain for the TLS listeners, PEM." placeholder:"FILE"`
	TLSKey    string `name:"tls-key" help:"Its private key, PEM." placeholder:"FILE"`
	ClientCA  string `name:"client-ca" help:"Makers' certificate authorities; a phone that shows one of their certificates is recognised by it." placeholder:"FILE"`
	Admin     string `help:"Admin API." default:"127.0.0.1:8081" placeholder:"ADDR"`
	Templates string `help:"Directory of phone templates laid over the built-in ones; read again at SIGHUP." placeholder:"DIR"`

	Registrar sipFlags `embed:"" prefix:"sip-"`

	SMTPHost     string `name:"smtp-host" help:"Mail server for invitations and welcome mails; without one no mail is sent." placeholder:"HOST"`
	SMTPPort     int    `name:"smtp-port" help:"Its port; default: 587, with --smtp-tls tls 465." placeholder:"PORT"`
	SMTPTLS      string `name:"smtp-tls" help:"starttls, tls (from the first byte) or off." default:"starttls" enum:"starttls,tls,off"`
	SMTPUser     string `name:"smtp-user" help:"User name there; none = no authentication." placeholder:"NAME"`
	SMTPPassword string `name:"smtp-password" help:"Password there; better given in OFFHOOK_SMTP_PASSWORD than on the command line." placeholder:"TEXT"`
	MailFrom     string `name:"mail-from" help:"Sender of mails: \"Telephone <pbx@example.com>\"." placeholder:"ADDRESS"`
	PublicURL    string `name:"public-url" help:"Where a page of yours stands that takes invitations, for the link in their mails (the server has none yet): it reads the code behind #invitation= and makes the API call accept-invitation. Without this, mails have the code alone." placeholder:"URL"`

	WebhookNetworks []netip.Prefix `help:"Networks that are not public and that webhooks may reach all the same." placeholder:"CIDR"`

	TrustedProxies []netip.Prefix `help:"Reverse proxies whose X-Forwarded-For is believed." placeholder:"CIDR"`
	AdminKey       string         `help:"Admin key, 16 characters or more; default: made at the first start, in the file admin-key." placeholder:"KEY"`
	SecretKey      string         `help:"Key that encrypts secrets, 64 hexadecimal digits; default: made at the first start, in the file secret-key. Nodes on one Redis need the same." placeholder:"HEX"`
	RequireIfMatch bool           `help:"Answer 428 to a change through the API that names no version (If-Match)."`
	AddrsFile      string         `help:"Write the bound addresses here as JSON once everything listens." placeholder:"FILE"`
	LogLevel       string         `help:"debug, info, warn or error." default:"info" enum:"debug,info,warn,error"`
	LogFormat      string         `help:"text or json." default:"text" enum:"text,json"`
}

// stopWithin bounds the shutdown: phones retry, a hung one must not hold the restart.
const stopWithin = 10 * time.Second

// Run serves until ctx ends or a listener fails.
func (c *serveCmd) Run(ctx context.Context, s std) error {
	log := newLogger(s.err, c.LogLevel, c.LogFormat)
	app, err := newApp(ctx, *c, log)
	if err != nil {
		return err
	}
	failed := app.Start()
	log.Info("serving", "version", version, "addrs", app.Addrs(), "advertise", app.host)
	err = c.wait(ctx, app, failed, log)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if stopErr := app.Stop(stop); err == nil {
		err = stopErr
	}
	return err
}

// wait returns when the server must stop: nil because it was told to, or the failure. SIGHUP reads the templates again.
func (c *serveCmd) wait(ctx context.Context, app *app, failed <-chan error, log *slog.Logger) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			log.Info("stopping")
			return nil
		case <-hangup:
			if err := app.Reload(); err != nil {
				log.Error("templates have faults, the old ones stay", "error", err)
				continue
			}
			log.Info("templates read", "revision", app.catalog.Catalog().Revision())
		}
	}
}

func writeAddrs(path string, json []byte) error {
	if path == "" {
		return nil
	}
	// Renamed into place: whoever waits for the file reads all of it.
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, json, 0o644); err != nil {
		return fmt.Errorf("addresses file: %w", err)
	}
	return os.Rename(tmp, path)
}
