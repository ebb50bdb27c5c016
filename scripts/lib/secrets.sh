# shellcheck shell=bash
# Secrets are made on this machine at the first start and live in SALUS_DATA/secrets, one file each,
# readable by the servers' user only. Deleting one of a store's password files makes a new one.

random_base64url() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '='; }

# put_secret NAME VALUE: writes it, whether or not it exists.
put_secret() {
  local file=$SECRETS/$1
  mkdir -p "$(dirname "$file")"
  (umask 077 && printf '%s\n' "$2" >"$file.new")
  ((EUID != 0)) || chown "$RUN_USER:" "$(dirname "$file")" "$file.new"
  chmod 700 "$(dirname "$file")"
  mv "$file.new" "$file"
}

# make_secret NAME [BYTES]: a random one, unless it exists.
make_secret() {
  [[ -s $SECRETS/$1 ]] || put_secret "$1" "$(random_base64url "${2:-32}")"
}

secret() { cat "$SECRETS/$1"; }

make_all_secrets() {
  local service store
  make_secret postgres
  make_secret redis/salus-operator
  make_secret cursor_key
  for service in "${ALL_SERVICES[@]}"; do
    store=$(service_store "$service")
    make_secret "redis/salus-$service"
    if [[ $(service_store_kind "$service") == mongo ]]; then
      put_secret "$service/mongo_uri" "$(mongo_uri "salus_$store")"
    else
      put_database_secrets "$service" "$store"
    fi
    put_secret "$service/redis_url" "$(redis_url "salus-$service" "$PORT_BUS")"
    put_secret "$service/redis_cache_url" "$(redis_url "salus-$service" "$PORT_CACHE")"
  done
  make_secret auth/password_pepper
  make_secret auth/admin_password 16
  for store in auth/seal_keys scheduler/seal_keys contact_keys; do
    [[ -s $SECRETS/$store ]] || put_secret "$store" "k1:$(random_base64url 32)"
  done
}

put_database_secrets() {
  local service=$1 store=$2
  make_secret "postgres-salus_${store}"
  make_secret "postgres-salus_${store}_owner"
  put_secret "$service/database_url" "$(database_url "salus_$store" "salus_$store")"
  put_secret "$service/migrate_database_url" "$(database_url "salus_${store}_owner" "salus_$store")"
}

database_url() { echo "postgresql://$1:$(secret "postgres-$1")@127.0.0.1:$PORT_POSTGRES/$2"; }
redis_url() { echo "redis://$1:$(secret "redis/$1")@127.0.0.1:$2/0"; }
