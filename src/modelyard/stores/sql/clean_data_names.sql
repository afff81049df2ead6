-- What snapshots of a use case may be kept under: its name, and those of its profiles.
select distinct use_case from snapshots where use_case = :use_case or starts_with(use_case, :use_case || '__')
