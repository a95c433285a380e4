# What a target of kind `ssh-files` has done on its host, in one locked and fenced step a call.
#
#   sh -c PROGRAM redoubt DIRECTORY WAIT STEP ARGUMENT...
#
# The text is always the same; what differs comes as arguments and is never part of a command. Every word that it
# uses is POSIX but for flock (util-linux), and sync FILE, mv -T, stat -c, timeout, shred and ls -t of GNU coreutils.
# Killed after any line, the same call again leaves what one whole call leaves.
#
# Exit codes: 71 fenced, 72 folder missing or open to others, 73 locked by another, 74 no such key, 75 certificate and
# key or fingerprint do not fit, 76 no such version, 77 changed by someone else, 78 a command failed, 79 it was late, 80 in use.
set -eu
umask 077
LC_ALL=C
export LC_ALL
directory=$1 wait=$2 step=$3
shift 3

private() { # FOLDER: ours or root's, a real folder, and closed to writing by others
    [ -d "$1" ] && [ ! -L "$1" ] || exit 72
    case $(stat -c %u "$1") in 0 | "$(id -u)") ;; *) exit 72 ;; esac
    case $(stat -c %a "$1") in *[2367]? | *[2367]) exit 72 ;; esac
}

link() { # NAME: its text, or nothing if there is no such link; something else there is not ours
    if [ -e "$1" ] && [ ! -L "$1" ]; then exit 77; fi
    readlink "$1" || true
}

point() { # NAME TEXT: in one step that needs no free block
    rm -f ".$1"
    ln -s "$2" ".$1"
    mv -T ".$1" "$1"
    sync .
}

admit() { # OPERATION EPOCH: refuse what a later one has overtaken, else make its stamp durable
    newest=$(link fence)
    if [ -n "$newest" ]; then
        was=${newest%.*} had=${newest##*.}
        case $had in '' | *[!0-9]*) exit 77 ;; esac
        if [ "$was" = "$1" ]; then
            [ "$2" -ge "$had" ] || exit 71
        elif [ "$(expr "X$1" '<' "X$was")" = 1 ]; then
            exit 71
        fi
    fi
    [ "$newest" = "$1.$2" ] || point fence "$1.$2"
}

in_use() { # the version in use, or nothing
    text=$(link current)
    case $text in '' | versions/*) printf %s "${text#versions/}" ;; *) exit 77 ;; esac
}

fingerprint() { # CHAIN: of its leaf, in small hexadecimal digits
    openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//' | tr -d : | tr A-F a-f
}

fits() { # CHAIN KEY: whether they belong together
    [ "$(openssl x509 -in "$1" -noout -pubkey)" = "$(openssl pkey -in "$2" -pubout)" ]
}

secret() { # KEY: a file of ours that nobody else may read
    [ -f "$1" ] && [ ! -L "$1" ] || exit 74
    case $(stat -c %a "$1") in *00) ;; *) exit 72 ;; esac
}

bounded() { # SECONDS COMMAND...: says its last words and its exit code; it gets nothing of our lock and environment
    seconds=$1
    shift
    said=$({
        code=0
        timeout -k 1 "$seconds" env -i PATH="$PATH" LANG=C.UTF-8 "$@" 2>&1 9>&- </dev/null || code=$?
        printf '\001%s' "$code"
    } | tail -c 4096)
    mark=$(printf '\001')
    code=${said##*"$mark"}
    [ "$code" != 0 ] || return 0
    printf '%s\n' "${said%"$mark"*}" >&2
    printf %s "$code"
    case $code in 124 | 137) exit 79 ;; *) exit 78 ;; esac
}

private "$directory"
cd -P "$directory"
case $step in
current)
    in_use
    exit
    ;;
read) # VERSION
    [ -f "versions/$1/fullchain.pem" ] || exit 76
    exec head -c 1048577 "versions/$1/fullchain.pem"
    ;;
drift) # VERSION: what is wrong with it, in one word
    kept=versions/$1
    [ -f "$kept/fullchain.pem" ] && [ "$(fingerprint "$kept/fullchain.pem")" = "$1" ] || { echo certificate && exit; }
    [ -f "$kept/key.pem" ] && fits "$kept/fullchain.pem" "$kept/key.pem" || { echo key && exit; }
    sha256sum <"$kept/nginx.conf" | head -c 64
    exit
    ;;
versions) # newest first
    [ ! -d versions ] || ls -1t versions
    exit
    ;;
esac

exec 9>>lock
flock -w "$wait" 9 || exit 73
for part in versions keys incoming; do
    [ -d "$part" ] || { mkdir "$part" && sync .; }
    private "$part"
done
case $step in
key) # ID ALGORITHM: made once; prints a request for the names that stand in the arguments, DNS:name or IP:address
    key=keys/$1.pem draft=keys/.$1.pem kind=$2
    shift 2
    if [ ! -f "$key" ]; then
        rm -f "$draft"
        case $kind in
        EC-P256) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$draft" ;;
        EC-P384) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$draft" ;;
        RSA-*) openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${kind#RSA-}" -out "$draft" ;;
        esac
        sync "$draft"
        mv -T "$draft" "$key"
        sync keys
    fi
    secret "$key"
    names=$(printf ',%s' "$@")
    openssl req -new -sha256 -key "$key" -subj / -config /dev/stdin <<END
[req]
distinguished_name = nobody
req_extensions = wanted
[nobody]
[wanted]
subjectAltName = ${names#,}
END
    ;;
stage) # OPERATION EPOCH VERSION KEY_ID DRAFT: what was uploaded becomes a version, complete, or nothing
    draft=incoming/$5
    trap 'rm -rf "$draft"' EXIT
    admit "$1" "$2"
    [ ! -d "versions/$3" ] || exit 0
    secret "keys/$4.pem"
    [ "$(fingerprint "$draft/fullchain.pem")" = "$3" ] || exit 75
    fits "$draft/fullchain.pem" "keys/$4.pem" || exit 75
    ln -s "../../keys/$4.pem" "$draft/key.pem"
    sync "$draft"
    mv -T "$draft" "versions/$3"
    sync versions incoming
    ;;
switch) # OPERATION EPOCH VERSION, or nothing in its place
    admit "$1" "$2"
    was=$(in_use)
    if [ -z "$3" ]; then
        rm -f current
        sync .
    else
        [ -d "versions/$3" ] || exit 76
        [ "$was" = "$3" ] || point current "versions/$3"
    fi
    ;;
apply) # OPERATION EPOCH SECONDS COMMAND...: only while the step that switched is the newest
    admit "$1" "$2"
    shift 2
    bounded "$@"
    ;;
destroy) # OPERATION EPOCH KEY_ID: the key, and each version that has it; never one in use
    admit "$1" "$2"
    key=keys/$3.pem
    [ "$(readlink current/key.pem || true)" != "../../$key" ] || exit 80
    for old in versions/* versions/.gone; do
        if [ "$(readlink "$old/key.pem" || true)" = "../../$key" ]; then rm -rf "$old"; fi
    done
    sync versions
    if [ -f "$key" ] && [ ! -L "$key" ]; then shred -u -n 1 "$key"; fi
    rm -f "$key"
    sync keys
    ;;
retire) # OPERATION EPOCH VERSION...: delete these, but never the one in use, and what nobody needs any more
    admit "$1" "$2"
    shift 2
    kept=$(in_use)
    for old in "$@"; do
        if [ "$old" != "$kept" ] && [ -d "versions/$old" ]; then
            rm -rf versions/.gone
            mv -T "versions/$old" versions/.gone
            sync versions
        fi
    done
    rm -rf versions/.gone
    find incoming -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {} +
    used=$(find versions -mindepth 2 -name key.pem -exec readlink {} +)
    find keys -mindepth 1 -name '*.pem' -mmin +43200 | while read -r key; do
        case $used in *"/${key#keys/}"*) ;; *) rm -f "$key" ;; esac
    done
    sync versions keys incoming
    ;;
esac
