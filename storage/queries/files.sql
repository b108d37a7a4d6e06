-- name: keep_file
insert into files (digest, size_bytes, media_type, created_at) values (:digest, :size_bytes, :media_type, :now)
on conflict (digest) do update set created_at = excluded.created_at

-- name: file_is_kept
select 1 from files where digest = :digest
