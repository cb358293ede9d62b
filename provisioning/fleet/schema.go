package fleet

import (
	"strconv"
	"strings"

	"github.com/hashicorp/go-memdb"
)

// record is what a table holds: always a pointer to one of the nouns.
type record interface {
	tableName() string
	key() string // id
	meta() *Meta
	secrets(into map[string]*Secret)
	copied() record
}

// Tables, also the names in the journal.
const (
	tableDomains  = "domains"
	tableUsers    = "users"
	tableLines    = "lines"
	tableDevices  = "devices"
	tableProfiles = "profiles"
	tableAPIKeys  = "api_keys"

	tableIdempotency = "idempotency"
	tableAudit       = "audit"
	tableChain       = "audit_chain"

	tableGroups       = "groups"
	tablePhoneNumbers = "phone_numbers"
	tableDialPlans    = "dial_plans"
	tableDeliveries   = "deliveries"
	tableWebhooks     = "webhooks"
	tableJobs         = "jobs"
	tableJobRows      = "job_rows"
	tableJobInputs    = "job_inputs"
	tableFeed         = "feed"
	tableSessions     = "sessions"
)

// Indexes beside "id".
const (
	byID         = "id"
	byName       = "name"
	byDomain     = "domain"
	byExtension  = "extension"
	byEmail      = "email"
	bySuper      = "super"
	byUser       = "user"
	byAuth       = "auth"
	byMAC        = "mac"
	byLine       = "line"
	byHTTPUser   = "http_user"
	byToken      = "token"
	byProfile    = "profile"
	byHash       = "hash"
	byTime       = "time"
	byGroup      = "group"
	byDialPlan   = "dial_plan"
	byState      = "state"
	byTarget     = "target"
	byTemplate   = "template"
	byDue        = "due"
	byInvitation = "invitation"
)

// table is one noun's rows with their indexes.
type table struct {
	name     string
	noun     string        // in the audit log and the feed: "user"; "" = not told there
	private  bool          // not told in the feed: who may administer is for the audit log alone
	hidden   bool          // kept from those who watch: it tells of other records
	fleeting bool          // not in backups: who has signed out since must stay out
	fresh    func() record // an empty one, to decode into
	indexes  []index
}

// index returns the index of a name, nil if there is none.
func (t *table) index(name string) *index {
	for i := range t.indexes {
		if t.indexes[i].name == name {
			return &t.indexes[i]
		}
	}
	return nil
}

// index finds records by the keys that it computes. memdb does not enforce Unique on secondary indexes (two devices with
// one MAC both insert, and deleting one hides the other): Tx.put does, from this schema.
type index struct {
	name   string
	keys   func(record) []string
	unique func(other record) error // the conflict to report; nil = not unique
}

// compound joins the parts of a compound key; no part holds a NUL.
func compound(parts ...string) string { return strings.Join(parts, "\x00") }

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func freshOf[T any, P interface {
	*T
	record
}]() record {
	return P(new(T))
}

// schema lists the tables. Each index says why it is there by the question that it answers.
func schema() []*table {
	return []*table{domainsTable(), usersTable(), linesTable(), devicesTable(), profilesTable(), apiKeysTable(),
		idempotencyTable(), auditTable(), chainTable(), groupsTable(), phoneNumbersTable(), dialPlansTable(), deliveriesTable(),
		webhooksTable(), jobsTable(), jobRowsTable(), jobInputsTable(), feedTable(), sessionsTable()}
}

func domainsTable() *table {
	return &table{name: tableDomains, noun: "domain", fresh: freshOf[Domain], indexes: []index{
		{name: byName, // which domain does a request name?
			keys: func(r record) []string { return one(r.(*Domain).Name) },
			unique: func(o record) error {
				return conflict("/name", "domain-taken", "a domain of this name exists", o.key())
			}},
	}}
}

func usersTable() *table {
	return &table{name: tableUsers, noun: "user", fresh: freshOf[User], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*User).DomainID) }},
		{name: byExtension, // is a number taken, and by whom?
			keys: func(r record) []string { u := r.(*User); return one(compound(u.DomainID, u.ExtensionNumber)) },
			unique: func(o record) error {
				return conflict("/extension_number", "extension-taken", "this extension is in use by "+strconv.Quote(o.(*User).DisplayName()), o.key())
			}},
		{name: byGroup, keys: func(r record) []string { return r.(*User).GroupIDs }}, // who is in it?
		{name: byTemplate, keys: func(r record) []string { return one(r.(*User).TemplateID) }},
		{name: byInvitation, // whose token came back?
			keys: func(r record) []string { return one(r.(*User).Invitation.TokenHash.Reveal()) },
			unique: func(o record) error {
				return conflict("/invitation", "invitation-taken", "this token was given out", o.key())
			}},
		{name: bySuper, // is this the domain's last super administrator?
			keys: func(r record) []string {
				u := r.(*User)
				if u.Permissions.Mode != "super" {
					return nil
				}
				return one(u.DomainID)
			}},
		{name: byEmail, // who signs in?
			keys: func(r record) []string {
				u := r.(*User)
				if u.Email == "" {
					return nil
				}
				return one(compound(u.DomainID, strings.ToLower(u.Email)))
			},
			unique: func(o record) error {
				return conflict("/email", "email-taken", "another user of this domain has this e-mail address", o.key())
			}},
	}}
}

func linesTable() *table {
	return &table{name: tableLines, noun: "line", fresh: freshOf[Line], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*Line).DomainID) }},
		{name: byUser, keys: func(r record) []string { return one(r.(*Line).UserID) }},
		{name: byDialPlan, keys: func(r record) []string { return one(r.(*Line).DialPlanID) }},
		{name: byExtension, // which line is an address of record?
			keys: func(r record) []string { l := r.(*Line); return one(compound(l.DomainID, l.Number)) },
			unique: func(o record) error {
				return conflict("/number", "extension-taken", "a line with this number exists", o.key())
			}},
		{name: byAuth, // who says so in a REGISTER?
			keys: func(r record) []string { return one(r.(*Line).AuthUsername) },
			unique: func(o record) error {
				return conflict("/auth_username", "auth-username-taken", "a line with this user name exists", o.key())
			}},
	}}
}

func devicesTable() *table {
	return &table{name: tableDevices, noun: "device", fresh: freshOf[Device], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*Device).DomainID) }},
		{name: byMAC, // which device asks for its file? Global: the request names no domain.
			keys: func(r record) []string { return one(string(r.(*Device).MAC)) },
			unique: func(o record) error {
				return conflict("/mac_address", "mac-taken", "a device with this MAC address exists", o.key())
			}},
		{name: byHTTPUser, // whose credentials are these?
			keys: func(r record) []string { return one(r.(*Device).HTTPUser) },
			unique: func(o record) error {
				return conflict("/http_user", "http-user-taken", "a device with this user name exists", o.key())
			}},
		{name: byToken, // whose path is this?
			keys: func(r record) []string {
				d := r.(*Device)
				return append(one(d.Token.Reveal()), one(d.Link.Reveal())...)
			},
			unique: func(o record) error {
				return conflict("/token", "token-taken", "a device with this token exists", o.key())
			}},
		{name: byLine, // which devices does a line stand on?
			keys: func(r record) []string {
				var ids []string
				for _, l := range r.(*Device).Lines {
					ids = append(ids, l.LineID)
				}
				return ids
			}},
		{name: byProfile, keys: func(r record) []string { return one(r.(*Device).ProfileID) }},
	}}
}

func profilesTable() *table {
	return &table{name: tableProfiles, noun: "profile", fresh: freshOf[Profile], indexes: []index{
		{name: byDomain, keys: func(r record) []string { return one(r.(*Profile).DomainID) }},
		{name: byName,
			keys: func(r record) []string {
				p := r.(*Profile)
				return one(compound(p.DomainID, strings.ToLower(p.Name)))
			},
			unique: func(o record) error {
				return conflict("/name", "profile-taken", "a profile of this name exists in the domain", o.key())
			}},
	}}
}

func apiKeysTable() *table {
	return &table{name: tableAPIKeys, noun: "api_key", private: true, fresh: freshOf[APIKey], indexes: []index{
		{name: byHash, // who calls?
			keys: func(r record) []string { return one(r.(*APIKey).Hash.Reveal()) },
			unique: func(o record) error {
				return conflict("/hash", "api-key-taken", "this key exists", o.key())
			}},
	}}
}

// memSchema builds memdb's schema. Every index but "id" is non-unique there and keyed by "key NUL": memdb appends the id.
func memSchema(tables []*table) *memdb.DBSchema {
	s := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range tables {
		ts := &memdb.TableSchema{Name: t.name, Indexes: map[string]*memdb.IndexSchema{
			byID: {Name: byID, Unique: true, Indexer: idIndexer{}},
		}}
		for _, ix := range t.indexes {
			ts.Indexes[ix.name] = &memdb.IndexSchema{Name: ix.name, AllowMissing: true, Indexer: keyIndexer{ix.keys}}
		}
		s.Tables[t.name] = ts
	}
	return s
}

type idIndexer struct{}

// FromArgs builds the key of a look-up.
func (idIndexer) FromArgs(args ...any) ([]byte, error) { return argKey(args) }

// FromObject builds the key of a stored record.
func (idIndexer) FromObject(obj any) (bool, []byte, error) {
	return true, append([]byte(obj.(record).key()), 0), nil
}

type keyIndexer struct{ keys func(record) []string }

// FromArgs builds the key of a look-up.
func (keyIndexer) FromArgs(args ...any) ([]byte, error) { return argKey(args) }

// FromObject builds the keys of a stored record.
func (k keyIndexer) FromObject(obj any) (bool, [][]byte, error) {
	var out [][]byte
	for _, s := range k.keys(obj.(record)) {
		out = append(out, append([]byte(s), 0))
	}
	return len(out) > 0, out, nil
}

func argKey(args []any) ([]byte, error) {
	size := 0
	for _, a := range args {
		size += len(a.(string)) + 1
	}
	b := make([]byte, 0, size)
	for _, a := range args {
		b = append(append(b, a.(string)...), 0)
	}
	return b, nil
}

func (d *Domain) tableName() string             { return tableDomains }
func (d *Domain) key() string                   { return d.ID }
func (d *Domain) meta() *Meta                   { return &d.Meta }
func (d *Domain) copied() record                { c := d.clone(); return &c }
func (d *Domain) secrets(m map[string]*Secret)  { d.Settings.secrets("settings.", m) }
func (u *User) tableName() string               { return tableUsers }
func (u *User) key() string                     { return u.ID }
func (u *User) meta() *Meta                     { return &u.Meta }
func (u *User) copied() record                  { c := u.clone(); return &c }
func (l *Line) tableName() string               { return tableLines }
func (l *Line) key() string                     { return l.ID }
func (l *Line) meta() *Meta                     { return &l.Meta }
func (l *Line) copied() record                  { c := l.clone(); return &c }
func (d *Device) tableName() string             { return tableDevices }
func (d *Device) key() string                   { return d.ID }
func (d *Device) meta() *Meta                   { return &d.Meta }
func (d *Device) copied() record                { c := d.clone(); return &c }
func (p *Profile) tableName() string            { return tableProfiles }
func (p *Profile) key() string                  { return p.ID }
func (p *Profile) meta() *Meta                  { return &p.Meta }
func (p *Profile) copied() record               { c := p.clone(); return &c }
func (p *Profile) secrets(m map[string]*Secret) { p.Settings.secrets("settings.", m) }

func (k *APIKey) tableName() string            { return tableAPIKeys }
func (k *APIKey) key() string                  { return k.ID }
func (k *APIKey) meta() *Meta                  { return &k.Meta }
func (k *APIKey) copied() record               { c := k.clone(); return &c }
func (k *APIKey) secrets(m map[string]*Secret) { m["hash"] = &k.Hash }

func (u *User) secrets(m map[string]*Secret) {
	m["password_hash"] = &u.PasswordHash
	m["voicemail.pin_hash"] = &u.Voicemail.PINHash
	m["invitation.token_hash"] = &u.Invitation.TokenHash
}

func (l *Line) secrets(m map[string]*Secret) {
	m["secret"] = &l.Secret
	l.Settings.secrets("settings.", m)
}

func (d *Device) secrets(m map[string]*Secret) {
	m["http_password"] = &d.HTTPPassword
	m["token"] = &d.Token
	m["link"] = &d.Link
	d.Settings.secrets("settings.", m)
}
