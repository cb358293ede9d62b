package outbox

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"offhook/provisioning/fleet"
)

// Mail is a message to one person, as it stands in the outbox.
type Mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// SMTP says how mail leaves. The zero value means that none does: messages wait.
type SMTP struct {
	Host     string
	Port     int    // 0 = 587, or 465 with "tls" (RFC 8314)
	TLS      string // "starttls" (default), "tls" or "off"
	User     string // "" = no authentication
	Password fleet.Secret
	From     string      // "Offhook <offhook@example.com>"
	Roots    *tls.Config // nil = the system's
}

// Enabled reports whether mail can leave.
func (s SMTP) Enabled() bool { return s.Host != "" }

// mailTimeout bounds one delivery, from the connection to the server's word.
const mailTimeout = 30 * time.Second

func (s SMTP) client() (*mail.Client, error) {
	port := cmp.Or(s.Port, 587)
	opts := []mail.Option{mail.WithTimeout(mailTimeout), mail.WithoutNoop()}
	auth := mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover)
	switch s.TLS {
	case "", "starttls":
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	case "tls":
		port = cmp.Or(s.Port, 465)
		opts = append(opts, mail.WithSSL())
	case "off":
		if ip := net.ParseIP(s.Host); s.User != "" && s.Host != "localhost" && !ip.IsLoopback() {
			return nil, errors.New("SMTP: a password is not sent without TLS to another machine; use starttls or tls")
		}
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
		// Left to itself the client never sends a readable password without TLS, not even to this machine.
		auth = mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthCramMD5, mail.SMTPAuthPlainNoEnc, mail.SMTPAuthLoginNoEnc)
	default:
		return nil, fmt.Errorf("SMTP TLS %q: want starttls, tls or off", s.TLS)
	}
	opts = append(opts, mail.WithPort(port))
	if s.User != "" {
		opts = append(opts, auth, mail.WithUsername(s.User), mail.WithPassword(s.Password.Reveal()))
	}
	if s.Roots != nil {
		opts = append(opts, mail.WithTLSConfig(s.Roots))
	}
	return mail.NewClient(s.Host, opts...)
}

// message writes m. id makes the Message-ID, so that a server that gets it twice can tell.
func (s SMTP) message(id string, at time.Time, m Mail) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(s.From); err != nil {
		return nil, errors.New("the sender's address is not one")
	}
	if err := msg.To(m.To); err != nil {
		return nil, errors.New("the recipient's address is not one")
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(at)
	msg.SetMessageIDWithValue(id + "@offhook")
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies, please
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	return msg, nil
}

// send delivers m. final means that another try would end the same way.
func (s SMTP) send(ctx context.Context, id string, at time.Time, m Mail) (final bool, err error) {
	msg, err := s.message(id, at, m)
	if err != nil {
		return true, err
	}
	client, err := s.client()
	if err != nil {
		return true, err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	var refused *mail.SendError
	switch {
	case err == nil:
		return false, nil
	case errors.As(err, &refused):
		// The server's own words may repeat the message; its code says what matters.
		return !refused.IsTemp() && refused.ErrorCode() >= 500, fmt.Errorf("the mail server refuses the message: %s (%d)", refused.Reason, refused.ErrorCode())
	}
	return false, unready(err)
}

// unready says why no message could be handed over. That never makes a mail's failure final: who corrects the settings
// wants what has waited to leave. The server's own words stay out: it has been told the password and may repeat it.
func unready(err error) error {
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply) && slices.Contains([]int{432, 534, 535, 538}, reply.Code): // RFC 4954, section 6
		return fmt.Errorf("the mail server refuses the user name or the password (%d); see --smtp-user and --smtp-password", reply.Code)
	case errors.As(err, &reply):
		return fmt.Errorf("the mail server refuses to be used (%d)", reply.Code)
	case errors.Is(err, smtp.ErrUnexpectedServerResponse), errors.Is(err, smtp.ErrUnexpectedServerChallange):
		return errors.New("the mail server does not sign senders in as it announces")
	}
	return fmt.Errorf("the mail server cannot be used: %w", err)
}
