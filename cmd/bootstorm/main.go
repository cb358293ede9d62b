// Bootstorm boots simulated desk phones against a provisioning server and its registrar: they ask for their files as their
// makers' phones do, read them, and register with what they found.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

const (
	exitOK    = 0
	exitError = 1 // a phone failed, or nothing could be tried
	exitUsage = 2 // the command line is wrong
)

const description = `Boots simulated desk phones: each asks for its files as its maker's phones do, reads them, and registers with the ` +
	`credentials that it found. Ends with a table of latencies and failures; the exit code is 1 if any phone failed.

  bootstorm --create --phones 1000      a complete demo against a server on this machine
  bootstorm --devices phones.csv        phones that exist: a line is MAC[,maker[,model]]
  bootstorm --tftp 127.0.0.1:6969       files over TFTP

Makers: ${makers}`

// cli is the command line.
type cli struct {
	HTTP    string   `name:"http" help:"Base address of the files. Default http://127.0.0.1:8080/ unless --tftp is given." placeholder:"URL"`
	TFTP    string   `name:"tftp" help:"Fetch over TFTP; with --http too, every phone does both and compares." placeholder:"HOST:PORT"`
	SIP     string   `name:"sip" help:"Register here instead of at the server that the file names." placeholder:"HOST:PORT"`
	Phones  int      `help:"How many phones; the makers and their models take turns." default:"4"`
	First   int      `help:"Number of the first generated MAC address in its maker's range." default:"1"`
	Maker   []string `help:"Only this maker's phones; may be given several times." placeholder:"NAME"`
	Model   string   `help:"Only this model." placeholder:"NAME"`
	Devices string   `help:"Read the phones from FILE instead of generating them; - is standard input." placeholder:"FILE"`
	List    bool     `help:"List makers and models, then exit."`

	Concurrency int           `help:"Phones that boot at the same time; 0 = all at once." default:"0"`
	Timeout     time.Duration `help:"How long a phone waits for one answer, repeating its datagrams." default:"32s"`
	Transport   string        `help:"Register over udp or tcp, whatever the file says." enum:",udp,tcp" default:""`
	Expires     int           `help:"Seconds to register for; 0 = as the file says." default:"0"`
	Refresh     int           `help:"Rounds of registering again after the boot." default:"0"`
	Hold        time.Duration `help:"Stay registered that long, and boot again when the server says check-sync." default:"0s"`
	Unregister  bool          `help:"Unregister at the end."`
	KeepAlive   bool          `help:"Share HTTP connections between requests; phones mostly do not."`
	Insecure    bool          `help:"Accept any HTTPS certificate."`
	Blksize     int           `help:"TFTP block size to negotiate, with tsize; 0 = no options." default:"0"`

	Create    bool   `help:"Create the users and phones through the API first; what exists is left alone."`
	Admin     string `help:"Address of the API." default:"http://127.0.0.1:8081" placeholder:"URL"`
	AdminKey  string `help:"API key, or the file that holds it." env:"OFFHOOK_ADMIN_KEY" default:"data/admin-key" placeholder:"KEY|FILE"`
	Domain    string `help:"Domain to create the users in; needed only if there are several." placeholder:"NAME"`
	WidenPlan bool   `help:"Add numbers to the domain's numbering plan when it runs out."`

	JSON bool `name:"json" help:"Print the results as JSON instead of a table."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, isTerminal(os.Stderr))
	stop()
	os.Exit(code)
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer, terminal bool) int {
	seqs, err := loadSequences(embedded)
	if err != nil {
		fmt.Fprintln(errOut, "bootstorm:", err)
		return exitError
	}
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("bootstorm"), kong.Description(description), kong.Vars{"makers": makerNames(seqs)},
		kong.Writers(out, errOut), kong.Exit(func(code int) { exit = code }))
	if err == nil {
		_, err = parser.Parse(args)
	}
	if exit >= 0 { // --help has answered
		return exit
	}
	if err != nil {
		fmt.Fprintln(errOut, "bootstorm:", err)
		return exitUsage
	}
	if c.List {
		list(out, seqs)
		return exitOK
	}
	failed, err := c.storm(ctx, seqs, in, out, &progress{out: errOut, terminal: terminal, requests: &atomic.Int64{}})
	if err != nil {
		fmt.Fprintln(errOut, "bootstorm:", err)
		return exitError
	}
	if failed > 0 {
		return exitError
	}
	return exitOK
}

func list(out io.Writer, seqs []*sequence) {
	ids := map[string][]string{}
	for _, s := range seqs {
		for _, m := range s.Models {
			ids[s.Maker] = append(ids[s.Maker], m.ID)
		}
	}
	for _, maker := range slices.Sorted(maps.Keys(ids)) {
		fmt.Fprintf(out, "%-12s %s\n", maker, strings.Join(slices.Compact(ids[maker]), ", "))
	}
}

// storm runs everything and prints the results; it returns how many phones failed.
func (c *cli) storm(ctx context.Context, seqs []*sequence, in io.Reader, out io.Writer, prog *progress) (int, error) {
	w, err := c.world(prog)
	if err != nil {
		return 0, err
	}
	phones, err := c.roster(roster{sequences: seqs, makers: c.Maker, model: c.Model, world: w}, in)
	if err != nil {
		return 0, err
	}
	var creating time.Duration
	if c.Create {
		if creating, err = c.create(ctx, phones, prog); err != nil {
			return 0, err
		}
	}
	s := storm{phones: phones, concurrency: c.Concurrency, refresh: c.Refresh, hold: c.Hold, unregister: c.Unregister, progress: prog}
	took := s.run(ctx)
	r := newReport(phones, w.requests.Load(), took)
	r.CreateMS = ms(creating)
	if p := phones[0]; len(phones) == 1 && !p.created.IsZero() {
		r.FirstMS = ms(p.ready.Sub(p.created))
	}
	if c.JSON {
		return r.Failed, r.writeJSON(out)
	}
	return r.Failed, r.writeTable(out)
}

func (c *cli) world(prog *progress) (*world, error) {
	w := &world{sip: c.SIP, transport: c.Transport, timeout: c.Timeout, expires: c.Expires, random: rand.Text, now: time.Now, requests: prog.requests}
	if c.Timeout <= 0 {
		return nil, errors.New("--timeout is longer than nothing")
	}
	if w.sip != "" {
		if _, _, err := net.SplitHostPort(w.sip); err != nil {
			w.sip = net.JoinHostPort(strings.Trim(w.sip, "[]"), "5060")
		}
	}
	if c.HTTP == "" && c.TFTP == "" {
		c.HTTP = "http://127.0.0.1:8080/"
	}
	if c.HTTP != "" {
		f, err := newHTTPFetcher(c.HTTP, c.Timeout, c.KeepAlive, c.Insecure)
		if err != nil {
			return nil, err
		}
		w.fetchers = append(w.fetchers, f)
	}
	if c.TFTP != "" {
		f, err := newTFTPFetcher(c.TFTP, c.Timeout, c.Blksize)
		if err != nil {
			return nil, err
		}
		w.fetchers = append(w.fetchers, f)
	}
	return w, nil
}

func (c *cli) roster(r roster, in io.Reader) ([]*phone, error) {
	if c.Devices == "" {
		if c.Phones < 1 {
			return nil, errors.New("--phones is at least 1")
		}
		if err := checkFiles(c.Phones, c.Concurrency); err != nil {
			return nil, err
		}
		return r.generate(c.Phones, c.First)
	}
	if c.Devices != "-" {
		f, err := os.Open(c.Devices)
		if err != nil {
			return nil, fmt.Errorf("--devices: %w", err)
		}
		defer f.Close()
		in = f
	}
	phones, err := r.read(in)
	if err != nil {
		return nil, fmt.Errorf("--devices %s: %w", c.Devices, err)
	}
	return phones, checkFiles(len(phones), c.Concurrency)
}

func (c *cli) create(ctx context.Context, phones []*phone, prog *progress) (time.Duration, error) {
	key, err := c.readKey()
	if err != nil {
		return 0, err
	}
	api, err := newCreator(c.Admin, key, c.Domain, c.WidenPlan, c.Timeout)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	existing, err := api.create(ctx, phones, prog)
	if existing > 0 {
		prog.note(fmt.Sprintf("%d of %d phones were there already", existing, len(phones)))
	}
	return time.Since(start), err
}

// readKey takes the value for the name of a file if there is such a file.
func (c *cli) readKey() (string, error) {
	raw, err := os.ReadFile(c.AdminKey)
	if err == nil {
		return strings.TrimSpace(string(raw)), nil
	}
	if strings.ContainsAny(c.AdminKey, `/\`) { // no key has these; and a key must not be printed
		return "", errors.New("--admin-key: no such file; the server writes the file admin-key into its data directory")
	}
	return c.AdminKey, nil
}

// checkFiles says beforehand what would fail in the middle: every phone keeps a socket, and those that are booting need
// another.
func checkFiles(phones, concurrency int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil // then the sockets say it
	}
	if concurrency == 0 || concurrency > phones {
		concurrency = phones
	}
	if need := uint64(phones + concurrency + 64); need > limit.Cur {
		return fmt.Errorf("%d phones need %d open files, %d are allowed: raise it with ulimit -n %d, or lower --concurrency or --phones", phones, need, limit.Cur, need)
	}
	return nil
}
