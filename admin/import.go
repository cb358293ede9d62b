package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

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
	add(a, operation{method: http.MethodPost, path: "/v1/imports", id: "import-users", scope: "imports:write", status: http.StatusAccepted, maxBody: maxSheet, takes: "text/csv",
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
	return a.jobs.add(ctx, fleet.Job{Kind: "user-import", DomainID: d.ID, DryRun: in.DryRun, Total: len(s.rows), Detail: texts(s.warnings)},
		importOrder{Domain: d.Name, Sheet: in.RawBody})
}

// importOrder is what an import is to do, as its job keeps it.
type importOrder struct {
	Domain string `json:"domain"`
	Sheet  []byte `json:"sheet"` // as it was sent
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
func (a *api) runImport(ctx context.Context, j fleet.Job, input string) error {
	var order importOrder
	if err := json.Unmarshal([]byte(input), &order); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	sheet, err := readSheet(order.Sheet)
	if err != nil {
		return err
	}
	s := a.snaps()
	rows := slices.DeleteFunc(sheet.rows, func(r sheetRow) bool { return rowDone(s, j.ID, r.line) })
	size := importChunk
	if j.DryRun {
		size = max(len(rows), 1)
	}
	for chunk := range slices.Chunk(rows, size) {
		if err := ctx.Err(); err != nil {
			return err
		}
		ready := make([]importRow, len(chunk))
		for i, r := range chunk {
			ready[i] = a.prepare(ctx, r, order.Domain, j.DryRun)
		}
		if err := a.importRows(ctx, j, ready); err != nil {
			return err
		}
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

// importRows does some rows and writes their verdicts with them.
func (a *api) importRows(ctx context.Context, j fleet.Job, rows []importRow) error {
	var verdicts []verdict
	err := a.update(ctx, j.DryRun, func(tx *fleet.Tx) error {
		verdicts = verdicts[:0]
		for _, r := range rows {
			if rowDone(&tx.Snap, j.ID, r.line) {
				continue // by another node, which took the job for one left behind
			}
			v, err := a.importOne(ctx, tx, r, j.DryRun)
			if err != nil {
				return err
			}
			verdicts = append(verdicts, v)
		}
		if j.DryRun {
			return nil
		}
		return keep(tx, j.ID, verdicts)
	})
	if err != nil || !j.DryRun {
		return err
	}
	return a.update(ctx, false, func(tx *fleet.Tx) error { return keep(tx, j.ID, verdicts) })
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
