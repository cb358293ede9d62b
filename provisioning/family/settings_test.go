package family

import (
	"testing"
	"testing/fstest"
)

func TestCoverage(t *testing.T) {
	manifest := "id = 'acme'\nname = 'Acme'\nextra_name = '^[a-z.]+$'\n" +
		"model = [{id = 'One', kind = 'desk', accounts = 1}, {id = 'Two', kind = 'desk', accounts = 2, keys = 4, style = 'new'}, {id = 'Six', kind = 'desk', accounts = 6}]\n" +
		"[[file]]\npath = '{mac}.cfg'\ntemplate = 'a.tmpl'\nscope = 'device'\nformat = 'ini'\n"
	files := "{{range .Accounts}}user{{.Index}} = {{.AuthUser}}\n{{end}}{{with .Time}}dst = {{yesno .DST \"1\" \"0\"}}\n{{end}}" +
		"{{if eq .Model.Style \"new\"}}ntp = {{join .NTPServers \",\"}}\n{{end}}{{if ne .Model.ID \"Six\"}}lang = {{.Language}}\n{{end}}" +
		"{{range .Keys}}{{if ne .Type \"none\"}}key{{.Position}} = {{.Type}}\n{{end}}{{end}}"
	c, err := Load(fstest.MapFS{"acme/family.toml": {Data: []byte(manifest)}, "acme/files/a.tmpl": {Data: []byte(files)}})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := c.Family("acme")
	coverage, err := f.Coverage()
	if err != nil {
		t.Fatal(err)
	}
	who := map[string]string{}
	for _, c := range coverage {
		who[c.Setting] = c.Who()
	}
	for setting, want := range map[string]string{
		"auth_username":              "all",
		"second line":                "all", // One has no place for it
		"summer time north":          "all",
		"timezone":                   "none", // it says no more than whether there is summer time
		"ntp_servers":                "only Two",
		"language":                   "all but Six",
		"key blf":                    "all",
		"key on an expansion module": "no model has a place for it",
		"password":                   "none",
	} {
		if who[setting] != want {
			t.Errorf("%s: %q, want %q", setting, who[setting], want)
		}
	}
}
