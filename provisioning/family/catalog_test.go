package family

import (
	"slices"
	"testing"
)

const testMAC = "02ac3e00a1b2"

func TestFileFor(t *testing.T) {
	tests := map[string]struct {
		path, model, want string
	}{
		"as listed":                          {"/02ac3e00a1b2.cfg", "One 100", "{mac}.cfg"},
		"capitals":                           {"/02AC3E00A1B2.CFG", "One 100", "{mac}.cfg"},
		"folders and a query":                {"/t/2h7f9q/02ac3e00a1b2.cfg?x=1", "One 100", "{mac}.cfg"},
		"no leading slash":                   {"02ac3e00a1b2.cfg", "One 100", "{mac}.cfg"},
		"colons":                             {"/02:AC:3E:00:A1:B2.cfg", "One 100", "{mac}.cfg"},
		"escaped colons":                     {"/02%3AAC%3A3E%3A00%3AA1%3AB2.cfg", "One 100", "{mac}.cfg"},
		"another device's MAC":               {"/02ac3e00a1b3.cfg", "One 100", ""},
		"MAC with something before":          {"/x02ac3e00a1b2.cfg", "One 100", ""},
		"MAC with something behind":          {"/02ac3e00a1b2.cfg.bak", "One 100", ""},
		"climbing":                           {"/x/../02ac3e00a1b2.cfg", "One 100", ""},
		"model and MAC":                      {"/acme-One100-02AC3E00A1B2.xml", "One 100", "acme-{model}-{MAC}.xml"},
		"model's alias":                      {"/acme-a100-02ac3e00a1b2.xml", "One 100", "acme-{model}-{MAC}.xml"},
		"another model's name":               {"/acme-One200-02AC3E00A1B2.xml", "One 100", ""},
		"file of other models":               {"/acme-Horn-02AC3E00A1B2.xml", "Horn", ""},
		"any model's name for an unknown":    {"/acme-One200-02AC3E00A1B2.xml", "", "acme-{model}-{MAC}.xml"},
		"excluded model's name, unknown":     {"/acme-Horn-02AC3E00A1B2.xml", "", ""},
		"file for all models, model unknown": {"/02ac3e00a1b2.cfg", "", "{mac}.cfg"},
		"model without a row":                {"/02ac3e00a1b2.cfg", "One 900", "{mac}.cfg"},
		"folder and part":                    {"/keys/1-100/02-ac-3e-00-a1-b2.txt", "One 100", "keys/{part}/{mac-}.txt"},
		"folder missing":                     {"/1-100/02-ac-3e-00-a1-b2.txt", "One 100", ""},
		"part of a model without":            {"/keys/1-100/02-ac-3e-00-a1-b2.txt", "Horn", ""},
		"code":                               {"/a09.cfg", "One 200", "a{code}.cfg"},
		"another model's code":               {"/a07.cfg", "One 200", ""},
		"file of others, model unknown":      {"/only-02ac3e00a1b2.txt", "", "only-{mac}.txt"},
		"file of others, model known":        {"/only-02ac3e00a1b2.txt", "One 100", ""},
		"two files of others, unknown":       {"/both-02ac3e00a1b2.txt", "", ""},
		"common":                             {"/ACME-common.json", "Horn", "acme-common.json"},
	}
	const limited = "template = 'keys.txt.tmpl'\nscope = 'device'\nformat = 'text'\nmodels = "
	_, f := replaced(t, nil, "[[upload]]", "[[file]]\npath = 'only-{mac}.txt'\n"+limited+"['One 200', 'Horn']\n\n[[file]]\npath = 'both-{mac}.txt'\n"+limited+"['One 200']\n\n"+
		"[[file]]\npath = 'both-{mac}.txt'\n"+limited+"['Horn']\n\n[[upload]]")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m, ok := f.model(tc.model)
			if !ok {
				m = Model{ID: tc.model}
			}
			file, ok := f.FileFor(tc.path, m, testMAC)
			if file.Path != tc.want || ok != (tc.want != "") {
				t.Errorf("FileFor(%q) is %q, %v; want %q", tc.path, file.Path, ok, tc.want)
			}
		})
	}
	if file, ok := f.FileFor("/.cfg", f.Models[0], ""); ok {
		t.Errorf("a device without a MAC is given %q", file.Path)
	}
}

func TestFilesOf(t *testing.T) {
	_, f := acme(t)
	tests := map[string]struct {
		model Model
		want  []string
	}{
		"all":         {f.Models[0], []string{"a07.cfg", "02ac3e00a1b2.cfg", "acme-One100-02AC3E00A1B2.xml", "acme-common.json", "keys/1-100/02-ac-3e-00-a1-b2.txt"}},
		"two codes":   {f.Models[1], []string{"a08.cfg", "a09.cfg", "02ac3e00a1b2.cfg", "acme-One200-02AC3E00A1B2.xml", "acme-common.json"}},
		"not for it":  {f.Models[2], []string{"a09.cfg", "02ac3e00a1b2.cfg", "acme-common.json"}},
		"not known":   {Model{}, []string{"02ac3e00a1b2.cfg", "acme-common.json"}},
		"has no row":  {Model{ID: "One 900"}, []string{"02ac3e00a1b2.cfg", "acme-common.json"}},
		"no MAC file": {Model{}, []string{"02ac3e00a1b2.cfg", "acme-common.json"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, named := range f.FilesOf(tc.model, testMAC) {
				got = append(got, named.Path)
				if file, ok := f.FileFor(named.Path, tc.model, testMAC); !ok || file.Path != named.File.Path {
					t.Errorf("%s is listed as %s, but asking for it gives %q", named.Path, named.File.Path, file.Path)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("files %q, want %q", got, tc.want)
			}
		})
	}
}

func TestCommonFile(t *testing.T) {
	tests := map[string]struct {
		path, file, model string
	}{
		"of one model":      {"/prov/A07.cfg", "a{code}.cfg", "One 100"},
		"of two models":     {"/a09.cfg", "a{code}.cfg", ""},
		"of every model":    {"/x/acme-common.json?v=1", "acme-common.json", ""},
		"of a device":       {"/02ac3e00a1b2.cfg", "", ""},
		"unknown":           {"/a55.cfg", "", ""},
		"glued to a prefix": {"/xa07.cfg", "", ""},
		"climbing":          {"/../a07.cfg", "", ""},
	}
	c := good(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, file, m, ok := c.CommonFile(tc.path)
			if ok != (tc.file != "") || file.Path != tc.file || m.ID != tc.model {
				t.Errorf("CommonFile(%q) is %q of %q, %v; want %q of %q", tc.path, file.Path, m.ID, ok, tc.file, tc.model)
			}
			if ok && f.ID != "acme" {
				t.Errorf("family %q", f.ID)
			}
		})
	}
}

func TestUploadFor(t *testing.T) {
	_, f := acme(t)
	tests := map[string]struct {
		proto, path string
		want        bool
	}{
		"allowed":              {"http", "/02AC3E00A1B2-log.txt", true},
		"other transport":      {"tftp", "/02ac3e00a1b2-log.txt", false},
		"another device's MAC": {"http", "/02ac3e00a1b3-log.txt", false},
		"configuration":        {"http", "/02ac3e00a1b2.cfg", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			up, ok := f.UploadFor(tc.proto, tc.path, f.Models[0], testMAC)
			if ok != tc.want || ok && up.MaxSize != 65536 {
				t.Errorf("UploadFor is %+v, %v; want %v", up, ok, tc.want)
			}
		})
	}
}

func TestModel(t *testing.T) {
	c := good(t)
	for _, spelling := range []string{"One 100", "one100", "ONE_100", "one-100", "a100", "A 100"} {
		if m, ok := c.Model("acme", spelling); !ok || m.ID != "One 100" {
			t.Errorf("Model(%q) is %q, %v; want One 100", spelling, m.ID, ok)
		}
	}
	for _, other := range [][2]string{{"acme", "One 900"}, {"acme", ""}, {"nobody", "One 100"}} {
		if m, ok := c.Model(other[0], other[1]); ok {
			t.Errorf("Model(%q) is %q", other, m.ID)
		}
	}
}

func TestMakerOf(t *testing.T) {
	c := good(t)
	for mac, want := range map[string]string{
		"02ac3e000000": "acme", "02ac3f1fffff": "acme", "02ac3f0fffff": "", "000000000000": "", "02ac3e": "", "": "",
	} {
		if got := c.MakerOf(mac); got != want {
			t.Errorf("MakerOf(%q) is %q, want %q", mac, got, want)
		}
	}
}
