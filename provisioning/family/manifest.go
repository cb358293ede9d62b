package family

// Manifest is one templates/<maker>/family.toml, decoded strictly: a key that is not declared here is an error
// at its line and column.
type Manifest struct {
	ID    string   `toml:"id"`    // lower case, equal to the folder's name
	Name  string   `toml:"name"`  // as the maker prints it
	Guide string   `toml:"guide"` // address of the user guide when the model has none of its own
	OUI   []string `toml:"oui"`   // 6 to 9 lower-case hex digits; hints only, an OUI never selects a model

	Resync Notify `toml:"resync"` // NOTIFY that makes a phone fetch its configuration
	Reboot Notify `toml:"reboot"` // NOTIFY that restarts it

	Firmware string `toml:"firmware"` // what FirmwareURL names: "file" (default), or "folder" for phones that add a name of their own

	// Digest is the best algorithm that the maker's phones are known to answer a SIP challenge with: "md5" or "sha-256". ""
	// is md5: many phones fail on a challenge that they do not know (RFC 8760).
	Digest string `toml:"digest"`

	ExtraName string `toml:"extra_name"` // regular expression that a raw parameter's name must match

	Models   []Model    `toml:"model"`
	Identify []Identify `toml:"identify"` // first match wins, per kind of evidence
	Files    []File     `toml:"file"`
	Uploads  []Upload   `toml:"upload"`
	Examples []Example  `toml:"example"` // executed against the whole catalogue

	// Tables translate our words into the maker's: [table.language] with de = 'German'. Templates read them with
	// {{lookup "language" .Language}}.
	Tables map[string]map[string]string `toml:"table"`
}

// Notify is the SIP event that a maker's phones act on.
type Notify struct {
	Event string `toml:"event"` // value of the Event header, with its parameters: "check-sync;reboot=false"
}

// Model is one row of the catalogue, and what a template sees as .Model. The quirks are declared here, with
// their types: an attribute that is not is an error in strict mode.
type Model struct {
	ID            string   `toml:"id"`             // as the maker prints it: "SIP-T46U" is "T46U" here, see Aliases
	Aliases       []string `toml:"aliases"`        // other spellings that phones or people use
	Kind          string   `toml:"kind"`           // desk, conference, dect, ata, paging, door, softphone, wifi, video
	Accounts      int      `toml:"accounts"`       // SIP accounts; 0 = not known, no limit is enforced
	Keys          int      `toml:"keys"`           // programmable keys, line keys included; 0 = none
	Codes         []string `toml:"codes"`          // maker's numbers for the model in file names: "108"
	Part          string   `toml:"part"`           // part number in file names
	Golden        bool     `toml:"golden"`         // golden files are kept in full for this model
	ModelRequired bool     `toml:"model_required"` // the device never says what it is: an admin must
	Guide         string   `toml:"guide"`
	Resync        string   `toml:"resync"` // value of the Event header where this model acts on another than its family
	Reboot        string   `toml:"reboot"`

	// Quirks. Each says which maker needs it in its manifest, beside the row.
	Style       string `toml:"style"`         // picks a branch in the family's templates; free word, checked against them by goldens
	KeyLineBase int    `toml:"key_line_base"` // what the first line is called in key parameters; 0 or 1
	LineKeys    int    `toml:"line_keys"`     // keys that are line keys proper, where the maker numbers them apart
	Expansion   int    `toml:"expansion"`     // keys on all attachable modules together
}

// Identify is one way in which a family's phones say who they are. Exactly one of the evidence fields is set.
// Named groups give the claims: model, version, mac, serial. All expressions are RE2.
type Identify struct {
	Agent string `toml:"agent"` // HTTP User-Agent
	Path  string `toml:"path"`  // requested path, without query; matched from a slash: '(?i)/(?P<mac>...)\.cfg$'
	VCI   string `toml:"vci"`   // DHCP option 60
	SIP   string `toml:"sip"`   // SIP User-Agent
	Cert  string `toml:"cert"`  // subject of the client certificate, RFC 2253 form

	Model     string   `toml:"model"`      // fixed model, where the pattern itself names it
	Code      bool     `toml:"code"`       // the model group holds a Model.Codes value, to be looked up
	Strip     []string `toml:"strip"`      // prefixes to drop from the model group before look-up: 'SIP-'
	Weak      bool     `toml:"weak"`       // a shape that other makers use too: counts only when the OUI of its MAC, or the path's, agrees
	Dots      bool     `toml:"dots"`       // underscores in the version stand for dots
	NoVersion bool     `toml:"no_version"` // the version seen here is not the firmware's (a boot loader's)
	Common    bool     `toml:"common"`     // the same request comes from several models: the model is not claimed
}

// File is one file that the family's phones ask for.
type File struct {
	Path        string   `toml:"path"`     // last elements of the path; {mac} {MAC} {mac:} {mac-} {mac_} {model} {code} {part}
	Template    string   `toml:"template"` // below files/
	Scope       string   `toml:"scope"`    // "model" sees Common, "device" Phone, "domain" Book
	Format      string   `toml:"format"`   // picks the escaper: ini, xml, json, text
	EOL         string   `toml:"eol"`      // "lf" (default) or "crlf"
	ContentType string   `toml:"content_type"`
	Models      []string `toml:"models"`   // only for these; empty = every model, and an unknown one
	Except      []string `toml:"except"`   // not for these
	Optional    bool     `toml:"optional"` // where the template says nothing for a phone, the phone has no such file
	Entries     int      `toml:"entries"`  // scope "domain": contacts that a phone takes at once; 0 = all
	Charset     string   `toml:"charset"`  // "utf-8" (default) or "iso-8859-1", for phones that know no other; formats ini and text
	Secret      bool     `toml:"-"`        // derived: the template prints a Secret

	revised bool // derived: the template names Revision
	fits    bool // derived: the template asks which secrets it can write
	raw     bool // derived: the template names Extra
}

// Upload is a file that the family's phones may send (PUT over HTTP, WRQ over TFTP).
type Upload struct {
	Path    string `toml:"path"`     // as File.Path
	Proto   string `toml:"proto"`    // "http" or "tftp"
	MaxSize int    `toml:"max_size"` // bytes
}

// Example is a real request and what it must be recognised as. A field left out is "not claimed".
type Example struct {
	Proto   string `toml:"proto"` // http (default), tftp, dhcp, sip
	Agent   string `toml:"agent"`
	Path    string `toml:"path"`
	VCI     string `toml:"vci"`
	Model   string `toml:"model"`
	Version string `toml:"version"`
	MAC     string `toml:"mac"`
	Serial  string `toml:"serial"`
	File    string `toml:"file"` // the [[file]] path that answers it
}
