package admin

import (
	"context"
	"encoding/csv"
	"net/http"
	"strings"

	"offhook/provisioning/fleet"
)

func (a *api) exportRoutes() {
	add(a, operation{method: http.MethodGet, path: "/v1/exports/users", id: "export-users", scope: "users:read", media: "text/csv",
		summary: "All users as a spreadsheet that an import reads back; without secrets"}, a.exportUsers)
	add(a, operation{method: http.MethodGet, path: "/v1/exports/devices", id: "export-devices", scope: "devices:read", media: "text/csv", summary: "All devices as a spreadsheet"}, a.exportDevices)
}

type exportInput struct {
	Domain    string `query:"domain"`
	Separator string `query:"separator" enum:"comma,semicolon" default:"comma" doc:"semicolon for German spreadsheets, which then get a byte order mark too"`
}

// exportUsers writes the columns that an import reads.
func (a *api) exportUsers(ctx context.Context, in *exportInput) (*rendered, error) {
	s := a.snaps()
	inDomain, err := a.filterDomain(ctx, s, in.Domain)
	if err != nil {
		return nil, err
	}
	rows := [][]string{{"domain", "purpose", "first_name", "last_name", "display_name", "email", "department", "language", "extension_number", "scope",
		"caller_id_name", "caller_id_number", "voicemail", "line", "softphone", "mac_address", "model"}}
	for u := range s.Users("") {
		if !inDomain(u.DomainID) {
			continue
		}
		d, err := s.Domain(u.DomainID)
		if err != nil {
			return nil, err
		}
		rows = append(rows, append([]string{d.Name, u.Purpose, u.FirstName, u.LastName, u.DisplayNameSet, u.Email, u.Department, u.Language, u.ExtensionNumber, u.Scope,
			u.CallerID.Name, u.CallerID.Number, yes(u.Voicemail.Enabled)}, equipment(s, u)...))
	}
	return spreadsheet(in.Separator, rows)
}

// equipment is whether the user has a line and a softphone, and the first phone with its model.
func equipment(s *fleet.Snap, u fleet.User) []string {
	line, soft, mac, model := false, false, "", ""
	for l := range s.LinesOf(u.ID) {
		line = true
		for d := range s.DevicesOn(l.ID) {
			soft = soft || d.Type == "softphone"
			if mac == "" && d.MAC != "" {
				mac, model = d.MAC.String(), d.Model
			}
		}
	}
	return []string{yes(line), yes(soft), mac, model}
}

func (a *api) exportDevices(ctx context.Context, in *exportInput) (*rendered, error) {
	s := a.snaps()
	inDomain, err := a.filterDomain(ctx, s, in.Domain)
	if err != nil {
		return nil, err
	}
	rows := [][]string{{"id", "domain", "device_type", "name", "mac_address", "maker", "model", "model_source", "firmware", "serial", "provisioning_state", "last_provisioned_at", "lines"}}
	for d := range s.Devices("") {
		if !inDomain(d.DomainID) {
			continue
		}
		shown, err := a.showDevice(s, d)
		if err != nil {
			return nil, err
		}
		var aors []string
		for _, l := range shown.Lines {
			aors = append(aors, l.AOR)
		}
		last := ""
		if at := shown.Provisioning.LastProvisionedAt; at != nil {
			last = at.Format("2006-01-02T15:04:05Z")
		}
		rows = append(rows, []string{d.ID, shown.Domain, d.Type, d.Name, d.MAC.String(), d.Maker, d.Model, d.ModelSource, d.Firmware, d.Serial,
			shown.Provisioning.State, last, strings.Join(aors, " ")})
	}
	return spreadsheet(in.Separator, rows)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// spreadsheet writes the table. A cell that a spreadsheet would run as a formula gets an apostrophe before it, which an
// import takes off again.
func spreadsheet(separator string, rows [][]string) (*rendered, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if separator == "semicolon" {
		w.Comma = ';'
		b.WriteString("\ufeff")
	}
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r'") {
				row[i] = "'" + cell
			}
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return &rendered{ContentType: "text/csv; charset=utf-8", Body: []byte(b.String())}, w.Error()
}
