package admin

import (
	"maps"

	"github.com/danielgtaylor/huma/v2"
)

// term is what a name means wherever the API uses it, unless a field says more of itself.
type term struct {
	doc     string
	example any
}

// explain fills in what the description of the API still lacks: the meaning and an example of every name.
func explain(doc *huma.OpenAPI) {
	known := glossary()
	for name, s := range doc.Components.Schemas.Map() {
		for property, p := range s.Properties {
			if t, ok := known[name+"."+property]; ok {
				t.onto(p)
			} else {
				known[property].onto(p)
			}
		}
	}
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Put, path.Patch, path.Delete} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					p.Description = known[p.Name].doc
				}
			}
		}
	}
	if path := doc.Paths["/v1/users"]; path != nil {
		path.Post.RequestBody.Content["application/json"].Example = wholeUser()
	}
}

func (t term) onto(s *huma.Schema) {
	if s.Ref != "" {
		return
	}
	if s.Description == "" {
		s.Description = t.doc
	}
	if len(s.Examples) > 0 || len(s.Enum) > 0 {
		return
	}
	switch {
	case t.example != nil:
		s.Examples = []any{t.example}
	case s.Format == "date-time":
		s.Examples = []any{"2026-03-02T09:30:00Z"}
	}
}

// wholeUser is the one call that makes everything.
func wholeUser() map[string]any {
	return map[string]any{
		"domain": "example.test", "purpose": "person", "first_name": "Erika", "last_name": "Mustermann", "email": "erika@example.test",
		"deskphone": map[string]any{"new": map[string]any{"mac_address": "00-15-65-AB-CD-EF"}},
		"scope":     "basic_user", "admin_permissions": map[string]any{"mode": "none"},
		"voicemail": map[string]any{"enabled": true, "pin": "4711"}, "caller_id": map[string]any{"name": "Erika Mustermann"},
	}
}

// ids are examples of the ids of each noun.
func ids(prefix string) string { return prefix + "_06h04www4yy7b670ba7cce57rr" }

func glossary() map[string]term {
	all := map[string]term{}
	for _, part := range []map[string]term{commonTerms(), personTerms(), phoneTerms(), systemTerms()} {
		maps.Copy(all, part)
	}
	return all
}

func commonTerms() map[string]term {
	return map[string]term{
		"id":                   {"id of the record; ids sort in the order of making", ids("usr")},
		"domain":               {"name of the SIP domain, which is the tenant", "example.test"},
		"name":                 {"what people call it; at most 64 characters", "Front desk"},
		"description":          {"in one's own words; at most 255 characters", "All who sell"},
		"created_at":           {"when the record was made", nil},
		"updated_at":           {"when the record was changed last", nil},
		"items":                {"this page of the list", nil},
		"effects":              {"what the change costs or takes away; the same in the dry run and for real", nil},
		"warnings":             {"what was accepted, and may not be meant", nil},
		"dry_run":              {"nothing was changed", nil},
		"deleted":              {"false in a dry run", nil},
		"settings":             {"what phones are told at this layer", nil},
		"detail":               {"for people, in English", "this extension is in use by another user"},
		"Effect.detail":        {"which scope, or which licence", "call_center_agent"},
		"AuditEvent.detail":    {"more about it", nil},
		"code":                 {"stable, made for programs", "extension-taken"},
		"type":                 {"stable, made for programs", "/problems/extension-taken"},
		"Effect.type":          {"what happens", nil},
		"Event.type":           {"what happened", "served"},
		"FeedEvent.type":       {"what happened", "user.created"},
		"title":                {"the type, read aloud", "Extension taken"},
		"status":               {"HTTP status of the answer", 409},
		"errors":               {"each thing that is wrong", nil},
		"quantity":             {"how many; 0 = nothing new is billed", 1},
		"state":                {"where it stands", nil},
		"reason":               {"why, for who reads it later", "set up by hand"},
		"Reserved.reason":      {"told to who asks for one of the numbers", "kept for the fire brigade"},
		"conflicting_resource": {"address of the record in the way", "/v1/users/" + ids("usr")},
		"request_id":           {"of the request; also in the log and in X-Request-Id", "req_3psvookazpxcn3m6"},
		"at":                   {"when", nil},
		"separator":            {"between the columns of a spreadsheet", nil},
		"since":                {"from this time on", nil},
		"until":                {"before this time", nil},
		"Enrolment.until":      {"when the window closes", nil},
		"resource_id":          {"id of the record", ids("dev")},
		"resource":             {"id of the record", ids("usr")},
		"limit":                {"how many on a page", 50},
		"e164":                 {"phone number after E.164", "+4930123456"},
	}
}

func personTerms() map[string]term {
	return map[string]term{
		"first_name":            {"of the person or resource", "Erika"},
		"last_name":             {"may be empty where the domain does not ask for one", "Mustermann"},
		"display_name":          {"what phones and lists show", "Erika Mustermann"},
		"email":                 {"signs in; unique in the domain, whatever its case", "erika@example.test"},
		"email_verified_at":     {"when a message that was sent there came back; null = not yet", nil},
		"notification_emails":   {"where notices of voicemail and fax go", []string{"erika@example.test"}},
		"department":            {"at most 64 characters", "Sales"},
		"language":              {"BCP 47", "de"},
		"purpose":               {"person: somebody's extension; resource: a place or a machine, as a lobby; call_routing: calls pass through, and no hardware is attached", "person"},
		"scope":                 {"no_portal: an extension alone; simple_user: fax; basic_user: most people; call_center_agent and _supervisor: billed in addition; site_manager, office_manager: administrators of a site, of the customer", "basic_user"},
		"File.scope":            {"model: the same for every phone of the model; device: this one's own", nil},
		"extension_number":      {"a string of digits: leading zeros count", "101"},
		"login_enabled":         {"may sign in", nil},
		"billing_class":         {"addon: the scope is billed in addition", nil},
		"setup_state":           {"the one tag to show: setup_required before new before password_required before ready", nil},
		"tags":                  {"all that is still missing: setup_required (no e-mail address), new (neither PIN nor password), password_required", []string{"setup_required", "password_required"}},
		"tag":                   {"users who lack this", nil},
		"next_steps":            {"what remains to be done, and what is done", nil},
		"NextStep.id":           {"what is to be done", nil},
		"NextStep.state":        {"whether it is done", nil},
		"group_ids":             {"groups that the user is in", []string{ids("grp")}},
		"group_id":              {"members of this group", ids("grp")},
		"license_skus":          {"product licences, as an outer billing system names them", []string{"connect"}},
		"role_id":               {"role, as an outer system names it", "sales-role"},
		"template_id":           {"profile that the user's devices get", ids("prf")},
		"welcome_email":         {"what was sent when the user was made", "default"},
		"mode":                  {"super: everything; custom: the grants; none: nothing beside the scope", nil},
		"grants":                {"with mode custom", []string{"pbx:configure", "reports:view"}},
		"effective_permissions": {"what scope and permissions give together", []string{"reports:view"}},
		"Invitation.state":      {"whether the user has answered", nil},
		"sent_at":               {"when it was sent", nil},
		"accepted_at":           {"when it was accepted", nil},
		"user_id":               {"id of the user", ids("usr")},
		"pin_set":               {"a PIN is kept, as a hash", nil},
		"pin":                   {"of the voicemail", "4711"},
		"password":              {"of the portal", "correct horse battery"},
		"Voicemail.enabled":     {"has a mailbox", nil},
		"Softphone.enabled":     {"true makes a softphone, with its line", nil},
		"emergency_number":      {"shown to the emergency services", "+4930123456"},
		"CallerID.name":         {"shown to who is called; at most 64 characters", "Erika Mustermann"},
		"CallerID.number":       {"E.164 or an extension", "+4930123456"},
		"CallerIDBody.name":     {"shown to who is called; at most 64 characters", "Erika Mustermann"},
		"CallerIDBody.number":   {"E.164 or an extension", "+4930123456"},
		"require_last_name":     {"users need a last name", nil},
		"require_email":         {"users need an e-mail address", nil},
		"extension_change":      {"deny: a user's number never changes (409 extension-immutable)", nil},
	}
}

func phoneTerms() map[string]term {
	return map[string]term{
		"mac_address":           {"six pairs of hexadecimal digits", "00:15:65:ab:cd:ef"},
		"mac":                   {"MAC address in any spelling", "00:15:65:ab:cd:ef"},
		"maker":                 {"id of the family, in lower case", "yealink"},
		"maker_name":            {"as the maker writes it", "Yealink"},
		"model":                 {"as the maker prints it; null = not known yet", "T54W"},
		"aliases":               {"other names of the model", []string{"SIP-T54W"}},
		"model_source":          {"how the model is known; manual = typed, and never overwritten", nil},
		"model_seen":            {"what the phone says, where that contradicts", "T53"},
		"device_type":           {"kind of device", "desk"},
		"firmware":              {"as the phone says", "96.86.0.70"},
		"serial":                {"serial number, as the phone says", "3165017081100042"},
		"detected_at":           {"when the model was filled in", nil},
		"guide_url":             {"the maker's guide for users of this phone", "https://support.example.com/t54w"},
		"profile_id":            {"set of settings that the device gets", ids("prf")},
		"lines":                 {"SIP accounts", nil},
		"devices":               {"phones", nil},
		"position":              {"line key, counted from 1", 1},
		"line_id":               {"id of the line", ids("lin")},
		"device_id":             {"id of the device", ids("dev")},
		"device_ids":            {"ids of devices, instead of a filter", []string{ids("dev")}},
		"aor":                   {"SIP address of the line", "sip:101@example.test"},
		"number":                {"user part of the SIP address", "101"},
		"PhoneNumber.number":    {"E.164", "+4930123456"},
		"label":                 {"beside the key", "Front desk"},
		"auth_username":         {"digest user name: random, never the extension", "edg2nbythbkkx03n"},
		"secret":                {"digest password", nil},
		"phone_numbers":         {"routed to the line", []string{"+4930123456"}},
		"dial_plan_id":          {"id of the dial plan", ids("dpl")},
		"contact":               {"where calls are sent", "sip:101@192.0.2.7:5060"},
		"source":                {"address and port that the REGISTER came from", "192.0.2.7:5060"},
		"contacts":              {"how many are registered", 1},
		"transport":             {"udp, tcp, tls, ws, wss; http, https, tftp", "udp"},
		"user_agent":            {"as the phone says", "Yealink SIP-T54W 96.86.0.70"},
		"registered_at":         {"since when", nil},
		"expires_at":            {"when it ends; null = never, or not begun", nil},
		"last_requested_at":     {"when the device asked for a file last", nil},
		"last_provisioned_at":   {"when the device got a file last", nil},
		"Provisioning.state":    {"waiting: asked for nothing yet; current; outdated: would get something else now; denied; stale: has not come for long; error", nil},
		"Registration.state":    {"registered, unregistered (was once), never, or auth_failing", nil},
		"provisioning_state":    {"where the configuration stands", nil},
		"peer":                  {"address that the request came from", "192.0.2.7"},
		"file":                  {"name of the file", "001565abcdef.cfg"},
		"Upload.name":           {"name of the file", "001565abcdef-app.log"},
		"uploaded_at":           {"when the device sent it", nil},
		"open":                  {"the window is open", nil},
		"enrolled_at":           {"when the window's one fetch was", nil},
		"first_seen_at":         {"when it asked first", nil},
		"last_seen_at":          {"when it asked last", nil},
		"times_seen":            {"how often it asked", 3},
		"app":                   {"maker of the softphone", "linphone"},
		"event":                 {"of the NOTIFY", "check-sync"},
		"failure":               {"why the phone did not come", nil},
		"bundles":               {"what was bought; connect grants each new user a licence", []string{"connect"}},
		"provisioning_networks": {"CIDR networks whose phones get their files without showing a credential", []string{"192.0.2.0/24"}},
		"from":                  {"first number, as many digits as the last", "101"},
		"to":                    {"last number, included", "499"},
		"reserved":              {"numbers that are never given out", nil},
		"rules":                 {"patterns, tried in this order", nil},
		"max":                   {"most digits; 0 = no limit", 15},
		"accounts":              {"", 16},
		"keys":                  {"", 27},
		"layer":                 {"", "domain"},
		"value":                 {"", "Europe/Berlin"},
		"timezone":              {"", "Europe/Berlin"},
		"tone_country":          {"", "DE"},
		"sip_server":            {"", "sip.example.test:5060"},
		"outbound_proxy":        {"", "proxy.example.test:5060"},
		"syslog_server":         {"", "192.0.2.2:514"},
		"provisioning_url":      {"", "https://phones.example.test"},
		"register_expires":      {"", 3600},
		"resync_minutes":        {"", 1440},
		"nat_keepalive":         {"", 30},
		"dscp_sip":              {"", 26},
		"dscp_audio":            {"", 46},
		"srtp":                  {"", "optional"},
		"priority":              {"", 5},
		"pickup":                {"", "*8"},
		"line":                  {"", 1},
		"length":                {"", 3},
		"size":                  {"", 4096},
		"prefix":                {"", "0"},
		"min":                   {"", 3},
		"timeout":               {"", 4},
		"clock_24h":             {"hours run from 0 to 23", nil},
		"lldp":                  {"the phone takes its VLAN from the switch", nil},
		"ntp_servers":           {"time servers, host[:port]", []string{"ptbtime1.ptb.de"}},
		"firmware_url":          {"where phones fetch their firmware", "https://firmware.example.test/t54w.rom"},
		"voicemail_number":      {"dialled by the message key", "*97"},
		"extra":                 {"raw parameters by family and the maker's own name", nil},
		"pc_id":                 {"VLAN of the port for a computer, 1 to 4094", 20},
		"pc_priority":           {"0 to 7", 0},
		"assigned":              {"with a line, or without", nil},
		"routed":                {"to a line, or nowhere", nil},
		"Setting.name":          {"name of the setting", "timezone"},
	}
}

func systemTerms() map[string]term {
	return map[string]term{
		"scopes":            {"what the key may do", []string{"users:read"}},
		"ApiKey.name":       {"whose key it is", "billing system"},
		"NewKey.name":       {"whose key it is", "billing system"},
		"NewKey.expires_at": {"from when the key is good for nothing; null = never", nil},
		"previous_hash":     {"hash of the event before", nil},
		"action":            {"what was done", "user.created"},
		"actor":             {"who did it", "admin-key"},
		"operation":         {"operation of the API", "create-user"},
		"attempts":          {"how often it was tried", 1},
		"kind":              {"what it is", nil},
		"target":            {"e-mail address, or id of the webhook", "erika@example.test"},
		"last_error":        {"why it was not taken", nil},
		"data":              {"more about it", nil},
		"done":              {"rows that have their verdict", 40},
		"total":             {"rows in all", 100},
		"failed":            {"rows that were refused", 0},
		"finished_at":       {"when it ended; null = not yet", nil},
		"ok":                {"true = accepted", nil},
		"node":              {"", "pbx-1"},
		"User-Agent":        {"browser or program, as sessions show it", nil},
		"ended":             {"how many were ended", 1},
		"current_password":  {"the password until now", nil},
		"ca_url":            {"", "https://pki.example.test/ca.pem"},
		"row":               {"", 2},
		"count":             {"", 1},
		"members":           {"", 12},
		"pointer":           {"", "/extension_number"},
		"parameter":         {"", "limit"},
		"missing_scope":     {"", "users:write"},
		"last_id":           {"", "aud_0000000000006"},
		"valid":             {"every link of the chain is as it was written", nil},
		"events":            {"types of events; none = all", []string{"user.created", "device.*"}},
		"url":               {"address that is called", "https://hooks.example.com/offhook"},
		"enabled":           {"false = switched off", nil},
		"invitation":        {"by language: de, en; the one under * serves all others", nil},
		"welcome":           {"by language: de, en; the one under * serves all others", nil},
		"subject":           {"of the mail, with placeholders", "Welcome, {first_name}"},
		"text":              {"of the mail, with placeholders", "Your number is {extension_number}."},
		"q":                 {"part of a text, whatever its case", nil},
	}
}
