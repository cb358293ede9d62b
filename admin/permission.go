package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"offhook/provisioning/fleet"
)

// scopes are what a key may hold, each with what it opens.
func scopes() []string {
	return []string{
		"users:read", "users:write", "lines:read", "lines:write", "secrets:reveal", "devices:read", "devices:write",
		"profiles:read", "profiles:write", "domains:read", "domains:write", "keys:read", "keys:write", "audit:read", "events:read",
		"webhooks:read", "webhooks:write", "imports:read", "imports:write", "invoices:view", "invoices:pay", "reports:view",
	}
}

// configure is what the grant pbx:configure stands for.
func configure() []string {
	return []string{"pbx:configure", "users:read", "users:write", "lines:read", "lines:write", "devices:read", "devices:write",
		"profiles:read", "profiles:write", "domains:read", "domains:write"}
}

// preset is what a user's scope gives by itself (R44). self: and queues: are about the user's own things.
func preset(scope string) []string {
	self := []string{"self:read", "self:write"}
	switch scope {
	case "no_portal":
		return nil
	case "simple_user":
		return []string{"self:read"}
	case "call_center_agent":
		return append(self, "queues:agent")
	case "call_center_supervisor":
		return append(self, "queues:agent", "queues:supervise", "reports:view")
	case "site_manager":
		return append(self, "users:read", "users:write", "lines:read", "lines:write", "devices:read", "devices:write", "reports:view")
	case "office_manager":
		return append(append(self, configure()...), "reports:view")
	}
	return self
}

// effective is the union of what the scope and the administrator's permissions give (R46), sorted. "*" is everything.
func effective(u fleet.User) []string {
	out := preset(u.Scope)
	switch u.Permissions.Mode {
	case "super":
		out = append(out, "*")
	case "custom":
		for _, g := range u.Permissions.Grants {
			if g == "pbx:configure" {
				out = append(out, configure()...)
			}
			out = append(out, g)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mayGrant holds that nobody hands out what they lack themselves (R08). What the user had before may stay.
func mayGrant(ctx context.Context, before, after fleet.User) error {
	had := effective(before)
	for _, p := range effective(after) {
		own := strings.HasPrefix(p, "self:") || strings.HasPrefix(p, "queues:")
		if own || slices.Contains(had, p) || callerOf(ctx).may(p) {
			continue
		}
		pointer := "/admin_permissions"
		if slices.Contains(preset(after.Scope), p) {
			pointer = "/scope"
		}
		detail := "only somebody who may do this can let others do it: " + p
		if p == "*" {
			detail = "only a super administrator can make another one"
		}
		out := newProblem(http.StatusForbidden, "cannot-grant", detail)
		out.Scope, out.Errors = p, []violation{{Code: "cannot-grant", Detail: detail, Pointer: pointer}}
		return out
	}
	return nil
}
