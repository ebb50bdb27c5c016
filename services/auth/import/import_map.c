#include "import_map.h"

#include <string.h>

#include "accounts/account_rules.h"
#include "codec/json_tree.h"
#include "codec/text.h"
#include "codec/uuid5.h"
#include "import_tree.h"
#include "passwords/stored_hash.h"

struct mapping {
        const struct import_defaults *defaults;
        struct cm_arena *arena;
        struct imported_account *account;
        const char *reason;
};

static bool refuse(struct mapping *mapping, const char *reason)
{
        mapping->reason = reason;
        return false;
}

/* ---- what both have */

static void set_line(struct cm_str text, size_t max, struct cm_str *member, uint8_t *has)
{
        text = cm_str_trim(text);
        if (*has || !text.data || !text.len || cm_utf8_length(text) > max ||
            !cm_line_is_valid(text))
                return;
        *member = text;
        *has = CM_PRESENT;
}

static void set_picture(struct user *user, struct cm_str url)
{
        if (user->has_avatar_url || !url.data || url.len > 2000 ||
            !cm_str_starts(url, CM_STR("https://")) || !cm_uri_is_valid(url))
                return;
        user->avatar_url = url;
        user->has_avatar_url = CM_PRESENT;
}

/* "he_IL" is how Java and phones write it. */
static void set_language(struct mapping *mapping, struct cm_str tag)
{
        char *copy;

        if (!tag.data || tag.len < 2 || tag.len > 35)
                return;
        copy = (char *)cm_arena_str(mapping->arena, tag).data;
        for (char *c = copy; *c; c++)
                if (*c == '_')
                        *c = '-';
        if (cm_language_is_valid((struct cm_str){ copy, tag.len }))
                mapping->account->user.language = (struct cm_str){ copy, tag.len };
}

static void set_time_zone(struct mapping *mapping, struct cm_str zone)
{
        if (zone.data && zone.len <= 64 && cm_time_zone_is_known(zone))
                mapping->account->user.time_zone = zone;
}

static bool set_email(struct mapping *mapping, struct cm_str email)
{
        struct imported_account *account = mapping->account;

        if (!email.data || !email.len)
                return refuse(mapping, "it has no e-mail address");
        account->email_key = cm_email_canonical(mapping->arena, email);
        if (!account->email_key.data)
                return refuse(mapping, "its e-mail address is none");
        account->user.email = email;
        return true;
}

/* An id that is none, or missing, follows from the address: the same at every run. */
static void set_id(struct mapping *mapping, struct cm_str text)
{
        static const struct cm_uuid space = { { 0x5d, 0x1c, 0x9e, 0x2a, 0x7b, 0x0f, 0x4e, 0x55,
                                                0x8a, 0x41, 0x63, 0x0d, 0xb8, 0x9c, 0x27, 0xe4 } };

        if (!text.data || !cm_uuid_parse(text, &mapping->account->user.id))
                mapping->account->user.id = cm_uuid5(&space, mapping->account->email_key);
}

/* A hash of the form that stored_hash.h has; absent or empty: there is no password. */
static bool set_hash(struct mapping *mapping, struct cm_str text)
{
        struct stored_hash hash;
        int r;

        mapping->account->password_hash = CM_STR(HASH_NO_PASSWORD);
        if (!text.data || !text.len)
                return true;
        r = stored_hash_parse(text, mapping->defaults->hash_memory, &hash);
        if (!r && (hash.scheme == HASH_OURS || hash.scheme == HASH_NONE))
                r = STORED_HASH_UNKNOWN;
        if (r)
                return refuse(mapping, stored_hash_fault(r));
        mapping->account->password_hash = text;
        return true;
}

static void set_created(struct mapping *mapping, cm_time created)
{
        struct user *user = &mapping->account->user;
        cm_time now = mapping->defaults->now;

        user->created_at = created > 0 && created < now ? created : now;
        user->updated_at = now;
}

/* ---- rows of auth.users */

static void map_meta(struct mapping *mapping, const struct cm_json_node *row)
{
        const struct cm_json_node *meta =
                import_object(mapping->arena, import_member(row, "raw_user_meta_data"));
        struct user *user = &mapping->account->user;

        set_line(import_text(meta, "display_name"), 100, &user->display_name,
                 &user->has_display_name);
        set_line(import_text(meta, "name"), 100, &user->display_name, &user->has_display_name);
        set_line(import_text(meta, "full_name"), 200, &user->full_name, &user->has_full_name);
        set_line(import_text(meta, "first_name"), 100, &user->first_name, &user->has_first_name);
        set_line(import_text(meta, "given_name"), 100, &user->first_name, &user->has_first_name);
        set_picture(user, import_text(meta, "avatar_url"));
        set_picture(user, import_text(meta, "picture"));
        set_language(mapping, import_text(meta, "locale"));
        set_language(mapping, import_text(meta, "language"));
        set_time_zone(mapping, import_text(meta, "zoneinfo"));
        set_time_zone(mapping, import_text(meta, "timezone"));
        set_time_zone(mapping, import_text(meta, "time_zone"));
}

/* Supabase keeps E.164 without its "+". */
static void set_phone(struct mapping *mapping, struct cm_str number, cm_time confirmed)
{
        struct user *user = &mapping->account->user;
        struct cm_str phone;

        if (!number.data || !number.len)
                return;
        phone = number.data[0] == '+'
                        ? number
                        : cm_arena_printf(mapping->arena, "+%.*s", CM_STR_ARG(number));
        if (!account_rules_is_phone(phone))
                return;
        user->phone_number = phone;
        user->has_phone_number = CM_PRESENT;
        user->phone_confirmed_at = confirmed;
}

static bool map_row(struct mapping *mapping, const struct cm_json_node *row)
{
        struct imported_account *account = mapping->account;

        if (import_text(row, "deleted_at").len)
                return refuse(mapping, "it was deleted there");
        if (!set_email(mapping, import_text(row, "email")) ||
            !set_hash(mapping, import_text(row, "encrypted_password")))
                return false;
        set_id(mapping, import_text(row, "id"));
        set_created(mapping, import_time(row, "created_at"));
        account->verified_at = import_time(row, "email_confirmed_at");
        if (!account->verified_at)
                account->verified_at = import_time(row, "confirmed_at");
        if (import_time(row, "banned_until") > mapping->defaults->now)
                account->user.status = USER_STATUS_INACTIVE;
        set_phone(mapping, import_text(row, "phone"), import_time(row, "phone_confirmed_at"));
        map_meta(mapping, row);
        return true;
}

/* ---- users of a realm */

struct keycloak_hash {
        struct cm_str algorithm, value, salt;
        int64_t iterations;
        const struct cm_json_node *more;
};

static struct cm_str unpadded(struct cm_str base64)
{
        while (base64.len && base64.data[base64.len - 1] == '=')
                base64.len--;
        return base64;
}

/* additionalParameters: each a list of texts. */
static struct cm_str parameter(const struct keycloak_hash *hash, const char *name)
{
        struct cm_str text = import_first(hash->more, name);

        return text.data ? text : CM_STR("");
}

static struct cm_str phc_argon2(struct cm_arena *arena, const struct keycloak_hash *hash)
{
        struct cm_str version = parameter(hash, "version");

        if (!cm_str_equal(version, CM_STR("1.3")))
                return CM_STR("$argon2id$");
        return cm_arena_printf(arena, "$argon2%.*s$v=19$m=%.*s,t=%lld,p=%.*s$%.*s$%.*s",
                               CM_STR_ARG(parameter(hash, "type")),
                               CM_STR_ARG(parameter(hash, "memory")), (long long)hash->iterations,
                               CM_STR_ARG(parameter(hash, "parallelism")),
                               CM_STR_ARG(unpadded(hash->salt)), CM_STR_ARG(unpadded(hash->value)));
}

static struct cm_str phc(struct cm_arena *arena, const struct keycloak_hash *hash)
{
        struct cm_str name = hash->algorithm;

        if (cm_str_equal(name, CM_STR("argon2")))
                return phc_argon2(arena, hash);
        if (cm_str_equal(name, CM_STR("bcrypt")))
                return hash->value;
        if (cm_str_equal(name, CM_STR("pbkdf2")))
                name = CM_STR("pbkdf2-sha1");
        return cm_arena_printf(arena, "$%.*s$i=%lld$%.*s$%.*s", CM_STR_ARG(name),
                               (long long)hash->iterations, CM_STR_ARG(unpadded(hash->salt)),
                               CM_STR_ARG(unpadded(hash->value)));
}

/* The two texts of JSON in a credential; before version 8 its own members. */
static struct keycloak_hash read_credential(struct cm_arena *arena,
                                            const struct cm_json_node *credential)
{
        const struct cm_json_node *secret =
                import_object(arena, import_member(credential, "secretData"));
        const struct cm_json_node *data =
                import_object(arena, import_member(credential, "credentialData"));

        if (!secret || !data)
                return (struct keycloak_hash){
                        .algorithm = import_text(credential, "algorithm"),
                        .value = import_text(credential, "hashedSaltedValue"),
                        .salt = import_text(credential, "salt"),
                        .iterations = import_integer(credential, "hashIterations"),
                };
        return (struct keycloak_hash){
                .algorithm = import_text(data, "algorithm"),
                .value = import_text(secret, "value"),
                .salt = import_text(secret, "salt"),
                .iterations = import_integer(data, "hashIterations"),
                .more = import_member(data, "additionalParameters"),
        };
}

static bool map_credentials(struct mapping *mapping, const struct cm_json_node *user)
{
        const struct cm_json_node *list = import_member(user, "credentials");
        const struct cm_json_node *each = list && list->type == CM_JSON_ARRAY ? list->first : NULL;

        for (; each; each = each->next) {
                struct keycloak_hash hash;

                if (!cm_str_equal(import_text(each, "type"), CM_STR("password")))
                        continue;
                hash = read_credential(mapping->arena, each);
                if (!hash.algorithm.data || !hash.value.data)
                        return refuse(mapping, "its password is not a hash");
                return set_hash(mapping, phc(mapping->arena, &hash));
        }
        return set_hash(mapping, CM_STR_NONE);
}

static void map_attributes(struct mapping *mapping, const struct cm_json_node *user)
{
        const struct cm_json_node *attributes = import_member(user, "attributes");

        set_picture(&mapping->account->user, import_first(attributes, "picture"));
        set_language(mapping, import_first(attributes, "locale"));
        set_time_zone(mapping, import_first(attributes, "zoneinfo"));
        set_time_zone(mapping, import_first(attributes, "timezone"));
}

static void map_names(struct mapping *mapping, const struct cm_json_node *user)
{
        struct cm_str first = import_text(user, "firstName"), last = import_text(user, "lastName");
        struct user *account = &mapping->account->user;

        set_line(first, 100, &account->first_name, &account->has_first_name);
        set_line(first, 100, &account->display_name, &account->has_display_name);
        if (first.len && last.len)
                set_line(cm_arena_printf(mapping->arena, "%.*s %.*s", CM_STR_ARG(first),
                                         CM_STR_ARG(last)),
                         200, &account->full_name, &account->has_full_name);
}

static bool map_realm_user(struct mapping *mapping, const struct cm_json_node *user)
{
        struct imported_account *account = mapping->account;
        struct cm_str email = import_text(user, "email");

        if (import_text(user, "serviceAccountClientId").len)
                return refuse(mapping, "it is a client's service account");
        if (!email.len && cm_email_is_valid(import_text(user, "username")))
                email = import_text(user, "username");
        if (!set_email(mapping, email) || !map_credentials(mapping, user))
                return false;
        set_id(mapping, import_text(user, "id"));
        set_created(mapping, import_integer(user, "createdTimestamp") * CM_MILLISECOND);
        if (import_is_true(user, "emailVerified"))
                account->verified_at = account->user.created_at;
        if (import_member(user, "enabled") && !import_is_true(user, "enabled"))
                account->user.status = USER_STATUS_INACTIVE;
        map_names(mapping, user);
        map_attributes(mapping, user);
        return true;
}

int import_map(enum import_shape shape, struct cm_str json, const struct import_defaults *defaults,
               struct cm_arena *arena, struct imported_account *account_r, const char **reason_r)
{
        struct mapping mapping = { .defaults = defaults, .arena = arena, .account = account_r };
        struct cm_json_error error;
        const struct cm_json_node *tree = cm_json_parse(json, arena, &error);
        bool taken;

        *account_r = (struct imported_account){
                .user = { .tenant_id = defaults->tenant_id,
                          .user_type = USER_TYPE_PATIENT,
                          .status = USER_STATUS_ACTIVE,
                          .language = defaults->language,
                          .time_zone = defaults->time_zone,
                          .preferences = CM_STR("{}"),
                          .version = 1 },
        };
        if (!tree || tree->type != CM_JSON_OBJECT)
                taken = refuse(&mapping, "it is not a JSON object");
        else if (shape == IMPORT_ROWS)
                taken = map_row(&mapping, tree);
        else
                taken = map_realm_user(&mapping, tree);
        *reason_r = mapping.reason;
        return taken ? 0 : 1;
}
