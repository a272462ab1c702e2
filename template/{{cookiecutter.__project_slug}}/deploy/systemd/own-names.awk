# Names that nginx has once for all of its sites (variables, upstreams, zones, log formats), made this service's own.
#
#   awk -v declared=1 -f own-names.awk FILE...            "KIND NAME" of every name that the files declare
#   awk -v prefix=my_service_ -f own-names.awk NAMES FILE FILE, with the prefix before the names in NAMES
#
# Without it a second service on the same nginx is refused (duplicate upstream "backend"), and a map of another site that
# sets the same variable silently takes the place of ours.

function add(kind, name) { if (!((kind, name) in seen)) { seen[kind, name] = 1; print kind, name } }

# What follows `lead` becomes our own name where `tail` is next.
function after(text, lead, kind, tail,   done, name) {
    done = ""
    while (match(text, lead "[A-Za-z_][A-Za-z0-9_]*")) {
        done = done substr(text, 1, RSTART - 1)
        name = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        match(name, "[A-Za-z_][A-Za-z0-9_]*$")
        lead_found = substr(name, 1, RSTART - 1)
        name = substr(name, RSTART)
        done = done lead_found ((kind, name) in ours && text ~ tail ? prefix : "") name
    }
    return done text
}

declared && $1 == "map" && $NF == "{" { add("variable", substr($(NF - 1), 2)) }
declared && $1 == "set" { add("variable", substr($2, 2)) }
declared && $1 == "upstream" { add("upstream", $2) }
declared && $1 == "log_format" { add("format", $2) }
declared && $1 == "zone" { add("zone", $2) }
declared && match($0, /^ *(limit_conn_zone|limit_req_zone) .*zone=[a-z_]+:/) {
    sub(/.*zone=/, ""); sub(/:.*/, ""); add("zone", $0)
}
declared && $1 == "ssl_session_cache" { sub(/.*shared:/, ""); sub(/:.*/, ""); add("zone", $0) }
declared { next }

FILENAME == ARGV[1] { ours[$1, $2] = 1; next }
{
    line = after($0, "[$][{]?", "variable", "")
    if (line !~ /^ *#/) {
        line = after(line, "(^|[ \t;{])upstream[ \t]+", "upstream", "^[ \t{]")
        line = after(line, "://", "upstream", "^([/;?$\"' \t]|$)")
        line = after(line, "(^|[ \t;{])log_format[ \t]+", "format", "^([ \t]|$)")
        line = after(line, "(^|[ \t;{])access_log[ \t]+[^ \t;]+[ \t]+", "format", "^[ \t;]")
        line = after(line, "(^|[ \t;{])(zone|limit_conn)[ \t]+", "zone", "^[ \t]")
        line = after(line, "(zone=|shared:)", "zone", "^:")
    }
    print line
}
