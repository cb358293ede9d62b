package admin

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"offhook/provisioning/fleet"
)

// importChunk is how many rows go into one transaction: others write in between, and a journal write is shared.
const importChunk = 50

type importInput struct {
	DryRunnable
	ContentType string `header:"Content-Type" hidden:"true"`
	Domain      string `query:"domain" doc:"of rows that name none; may be left out while there is only one"`
	RawBody     []byte `contentType:"text/csv"`
}

func (a *api) importRoutes() {
	add(a, operation{method: http.MethodPost, path: "/v1/imports", id: "import-users", scope: "imports:write", status: http.StatusAccepted, maxBody: maxSheet,
		summary: "Make users from a spreadsheet, one a row, as a job. With dry_run, the same verdicts and nothing changed"}, a.createImport)
	add(a, operation{method: http.MethodGet, path: "/v1/jobs", id: "list-jobs", scope: "imports:read", summary: "List jobs, without their rows"}, a.listJobs)
	add(a, operation{method: http.MethodGet, path: "/v1/jobs/{id}", id: "get-job", scope: "imports:read", summary: "Read a job with a verdict for each row"}, a.getJob)
}

// createImport reads the file at once, so that a file that is no table is refused at once, and leaves the rows to a job.
func (a *api) createImport(ctx context.Context, in *importInput) (*made[job], error) {
	if err := a.allow(ctx, "users:write"); err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(in.ContentType); err != nil || kind != "text/csv" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "media-type-unsupported", "send the spreadsheet as text/csv")
	}
	s, err := readSheet(in.RawBody)
	if err != nil {
		return nil, err
	}
	d, err := a.domainNamed(ctx, a.snaps(), in.Domain, "")
	if err != nil && in.Domain != "" {
		return nil, err
	}
	// From here on the rows are on their way: the same request must not send them again, whatever becomes of this process.
	if err := a.update(ctx, in.DryRun, func(*fleet.Tx) error { return nil }); err != nil {
		return nil, err
	}
	j, err := a.jobs.add(ctx, laneImports, job{Kind: "user-import", Domain: d.Name, DryRun: in.DryRun, Total: len(s.rows), Warnings: s.warnings}, func(ctx context.Context, p *progress) error {
		return a.runImport(ctx, d.Name, s.rows, in.DryRun, p)
	})
	if err != nil {
		return nil, err
	}
	return &made[job]{Status: http.StatusAccepted, Location: "/v1/jobs/" + j.ID, Body: j}, nil
}

// importRow is one row, read and checked as far as that goes without the store.
type importRow struct {
	sheetRow
	body   newUser
	hashed secrets
	err    error
}

// runImport gives every row a verdict. A dry run does all rows in one transaction and takes it back, so that a row is judged
// against those before it, as it will be.
func (a *api) runImport(ctx context.Context, domain string, rows []sheetRow, dry bool, p *progress) error {
	size := importChunk
	if dry {
		size = max(len(rows), 1)
	}
	for len(rows) > 0 {
		n := min(size, len(rows))
		chunk := make([]importRow, n)
		for i, r := range rows[:n] {
			chunk[i] = a.prepare(ctx, r, domain, dry)
		}
		verdicts, err := a.importRows(ctx, chunk, dry)
		if err != nil {
			return err
		}
		p.done(verdicts)
		rows = rows[n:]
	}
	return nil
}

// prepare reads a row. Passwords are hashed only where they will be kept.
func (a *api) prepare(ctx context.Context, r sheetRow, domain string, dry bool) importRow {
	out := importRow{sheetRow: r}
	if r.wrong != "" {
		out.err = invalidAt("", "row-malformed", r.wrong)
		return out
	}
	if out.body, out.err = r.body(domain); out.err != nil {
		return out
	}
	if out.err = errors.Join(checkSecrets(out.body.UserBody), a.mayEquip(ctx, out.body)); out.err == nil && !dry {
		out.hashed, out.err = a.secretsOf(ctx, out.body.UserBody)
	}
	return out
}

func (a *api) importRows(ctx context.Context, chunk []importRow, dry bool) ([]verdict, error) {
	var verdicts []verdict
	err := a.update(ctx, dry, func(tx *fleet.Tx) error {
		verdicts = verdicts[:0]
		for _, r := range chunk {
			v, err := a.importOne(ctx, tx, r, dry)
			if err != nil {
				return err
			}
			verdicts = append(verdicts, v)
		}
		return nil
	})
	return verdicts, err
}

// importOne makes one row's user, or takes back what was made until it failed: the rows around it are not to suffer.
func (a *api) importOne(ctx context.Context, tx *fleet.Tx, r importRow, dry bool) (verdict, error) {
	out := verdict{Row: r.line}
	err := r.err
	if err == nil {
		var created fleet.Created
		var d fleet.Domain
		if created, d, err = a.makeUser(ctx, tx, r.body, r.hashed); err == nil {
			out.OK, out.ExtensionNumber = true, created.User.ExtensionNumber
			out.Effects = effectsOf(created)
			if !dry {
				out.UserID = created.User.ID
			}
			return out, nil
		}
		if undone := takeBack(tx, created.User.ID); undone != nil {
			return out, undone
		}
		err = ateZeros(err, r.body.ExtensionNumber, d)
	}
	p := a.problemOf(ctx, err)
	if p.Status >= http.StatusInternalServerError {
		return out, err
	}
	out.Errors = p.Errors
	if len(out.Errors) == 0 {
		out.Errors = []violation{{Code: strings.TrimPrefix(p.Type, "/problems/"), Detail: p.Detail}}
	}
	for i := range out.Errors {
		out.Errors[i].Pointer = "/" + columnOf(out.Errors[i].Pointer)
	}
	return out, nil
}

// takeBack removes what a failed row had made in the transaction.
func takeBack(tx *fleet.Tx, userID string) error {
	if userID == "" {
		return nil
	}
	var devices []string
	for l := range tx.LinesOf(userID) {
		for d := range tx.DevicesOn(l.ID) {
			devices = append(devices, d.ID)
		}
	}
	for _, id := range devices {
		if err := tx.DeleteDevice(id); err != nil && !errors.Is(err, fleet.ErrNotFound) {
			return err
		}
	}
	if err := tx.DeleteUser(userID); err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	return nil
}

// ateZeros says what probably happened to an extension that would fit with zeros before it.
func ateZeros(err error, number string, d fleet.Domain) error {
	var f *fleet.FieldError
	if !errors.As(err, &f) || f.Code != "extension-outside-plan" {
		return err
	}
	for _, r := range d.Plan.Ranges {
		if missing := len(r.From) - len(number); missing > 0 {
			if n := strings.Repeat("0", missing) + number; n >= r.From && n <= r.To {
				return invalidAt(f.Path, f.Code, f.Msg+"; with leading zeros it would fit: a spreadsheet may have dropped them, format the column as text")
			}
		}
	}
	return err
}

// columnOf is the column that a pointer into the request came from.
func columnOf(pointer string) string {
	switch pointer {
	case "/voicemail/pin":
		return "voicemail_pin"
	case "/voicemail/enabled":
		return "voicemail_enabled"
	case "/caller_id/name":
		return "caller_id_name"
	case "/caller_id/number":
		return "caller_id_number"
	case "/deskphone/new/name":
		return "device_name"
	}
	return pointer[strings.LastIndexByte(pointer, '/')+1:]
}

// verdict is what came of a row, or in a dry run would come.
type verdict struct {
	Row             int         `json:"row" doc:"line of the file; otherwise counted from 1"`
	OK              bool        `json:"ok"`
	UserID          string      `json:"user_id,omitempty"`
	ExtensionNumber string      `json:"extension_number,omitempty"`
	DeviceID        string      `json:"device_id,omitempty"`
	Event           string      `json:"event,omitempty" doc:"what was sent to the device"`
	Effects         []effect    `json:"effects,omitempty"`
	Errors          []violation `json:"errors,omitempty" doc:"pointers of an import name the column"`
}

// job is work that goes on after its request was answered.
type job struct {
	ID         string     `json:"id"`
	Kind       string     `json:"kind" enum:"user-import,device-resync,device-reboot"`
	State      string     `json:"state" enum:"queued,running,done,failed"`
	Domain     string     `json:"domain" doc:"of rows that name none"`
	DryRun     bool       `json:"dry_run"`
	Total      int        `json:"total"`
	Done       int        `json:"done"`
	Failed     int        `json:"failed" doc:"rows that were refused"`
	Detail     string     `json:"detail,omitempty" doc:"why the job as a whole failed"`
	Warnings   []warning  `json:"warnings,omitempty"`
	Rows       []verdict  `json:"rows,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
}
